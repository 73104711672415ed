"""Alerts of lanes: kept once however often they are told, and closed when they end."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import live
from apps.environments.models import Lane
from apps.health.models import Alert


@dataclass(frozen=True)
class Report:
    """One alert as it was told; `service` and `environment` are slugs, `ends_at` is None while it fires."""

    service: str
    environment: str
    fingerprint: str
    name: str
    severity: str
    summary: str
    starts_at: datetime
    ends_at: datetime | None
    generator_url: str


@transaction.atomic
def receive(lane: Lane, report: Report, *, by: Actor, now: datetime) -> Alert:
    """This function will keep an alert of a lane, or close the one that is kept; told again, it changes nothing.

    What ended stays ended: the same alert fires anew with another start. An end whose beginning was never heard of is
    kept as what has been.
    """
    # One after the other, also when the same is told twice at once.
    Lane.objects.locked().only("pk").get(pk=lane.pk)
    alert = Alert.objects.filter(lane=lane, fingerprint=report.fingerprint, starts_at=report.starts_at).first()
    if alert is None:
        alert = _keep(lane, report, now)
        _tell(lane, alert, by=by)
    elif report.ends_at is not None and alert.is_firing:
        alert.ends_at, alert.told_at = report.ends_at, now
        alert.save(update_fields=["ends_at", "told_at"])
        _tell(lane, alert, by=by)
    else:
        alert.told_at = now
        alert.save(update_fields=["told_at"])
    return alert


def prune() -> int:
    """This function will remove the alerts of all workspaces not heard of for HEALTH_KEEP; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT prune_alerts(make_interval(secs => %s))", [settings.HEALTH_KEEP.total_seconds()])
        return int(cursor.fetchone()[0])


def _keep(lane: Lane, report: Report, now: datetime) -> Alert:
    return Alert.objects.create(
        workspace_id=lane.workspace_id,
        lane=lane,
        fingerprint=report.fingerprint,
        name=report.name,
        severity=report.severity,
        summary=report.summary,
        starts_at=report.starts_at,
        ends_at=report.ends_at,
        told_at=now,
        generator_url=report.generator_url,
    )


def _tell(lane: Lane, alert: Alert, *, by: Actor) -> None:
    what = "is alerted by" if alert.is_firing else "is no longer alerted by"
    audit.record(
        "alert.fired" if alert.is_firing else "alert.resolved",
        by=by,
        target=alert,
        summary=f"{lane.service} in {lane.environment} {what} {alert.name}. {alert.summary}".strip(),
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        after={
            "severity": alert.severity,
            "fingerprint": alert.fingerprint,
            "starts_at": alert.starts_at.isoformat(),
            "ends_at": alert.ends_at.isoformat() if alert.ends_at else None,
        },
    )
    live.hint(lane.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")
