"""What is asked of lanes, and what their answers mean."""

import random
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.core import live
from apps.core.clock import CLOCK, clock_in
from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.health.models import HealthCheck, HealthSample

# So many bad samples in a row make a lane faulty: one lost request is not an incident.
BAD_IN_A_ROW = 2
# Checks of many lanes spread themselves out over time.
JITTER = 0.2


@transaction.atomic
def watch(lane: Lane, *, now: datetime) -> HealthCheck | None:
    """This function will see to it that a lane is asked for its health from now on, at its own address.

    Shapes: None for a lane without a port on this machine.
    """
    if lane.port is None:
        return None
    check, _made = HealthCheck.objects.update_or_create(
        lane=lane,
        workspace_id=lane.workspace_id,
        defaults={"url": f"http://127.0.0.1:{lane.port}{lane.service.health_path}", "due_at": now},
        create_defaults={
            "url": f"http://127.0.0.1:{lane.port}{lane.service.health_path}",
            "due_at": now,
            "interval_seconds": max(1, round(settings.HEALTH_INTERVAL.total_seconds())),
        },
    )
    return check


@transaction.atomic
def take(check_id: UUID) -> HealthCheck | None:
    """This function will take a check that is due, and set when it is due again; None if another worker was quicker."""
    checks = HealthCheck.objects.annotate(is_close=ExpressionWrapper(
        Q(lane__close_watch_until__gt=CLOCK), output_field=BooleanField()
    ))  # fmt: skip
    check = checks.filter(pk=check_id).first()
    if check is None:
        return None
    spread = 1 + JITTER * (2 * random.random() - 1)  # noqa: S311  spreads load, keeps no secret
    times = settings.CLOSE_WATCH_TIMES if check.is_close else 1
    pause = timedelta(seconds=check.interval_seconds * spread / times)
    due_at = clock_in(pause)
    taken = HealthCheck.objects.filter(pk=check_id, due_at__lte=CLOCK).update(due_at=due_at)
    return check if taken else None


@transaction.atomic
def record(check: HealthCheck, *, verdict: str, status: int | None, latency_ms: float | None, detail: str) -> None:
    """This function will keep a sample and change the lane's verdict when the samples say so.

    Units: `latency_ms` in milliseconds, None when nothing answered.
    """
    sample = HealthSample.objects.create(
        workspace_id=check.workspace_id,
        lane_id=check.lane_id,
        checked_at=CLOCK,
        verdict=verdict,
        status=status,
        latency_ms=latency_ms,
        detail=detail[:200],
    )
    lane = Lane.objects.locked().select_related("service", "environment").get(pk=check.lane_id)
    _judge(lane, sample)


def prune() -> int:
    """This function will remove the samples of all workspaces that are older than HEALTH_KEEP; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT prune_samples(older) + prune_endpoint_samples(older) FROM make_interval(secs => %s) AS older",
            [settings.HEALTH_KEEP.total_seconds()],
        )
        return int(cursor.fetchone()[0])


def _judge(lane: Lane, sample: HealthSample) -> None:
    last = HealthSample.objects.filter(lane=lane).values_list("verdict", flat=True)[:BAD_IN_A_ROW]
    bad_in_a_row = len(last) == BAD_IN_A_ROW and Health.HEALTHY not in last
    verdict = Health.HEALTHY if sample.verdict == Health.HEALTHY else Health.FAULTY if bad_in_a_row else lane.health
    changes: dict[str, object] = {"health_checked_at": CLOCK}
    if verdict != lane.health:
        changes |= {"health": verdict, "health_since": CLOCK}
    if verdict != lane.health or sample.verdict != Health.HEALTHY:
        changes["health_detail"] = sample.detail
    Lane.objects.filter(pk=lane.pk).update(**changes)
    if verdict == lane.health:
        return
    audit.record(
        "lane.health_changed",
        by=SYSTEM,
        target=lane,
        summary=f"{lane.service} in {lane.environment} is {Health(verdict).label.lower()}: {sample.detail}",
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        before={"health": lane.health},
        after={"health": verdict},
    )
    live.hint(lane.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")
