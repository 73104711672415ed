"""What is wrong in a lane at this moment, and since when."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.health.models import Alert, EndpointCheck, EndpointSample, HealthSample


@dataclass(frozen=True)
class Trouble:
    why: str
    since: datetime


def standing(lane: Lane, *, since: datetime, heard_since: datetime) -> list[Trouble]:
    """This function will find what is wrong in a lane and came up since then, of checks that roll back, and of alerts.

    A check counts when it was answered after `heard_since`, and if it was ever answered well: else it may be wrong
    itself. Queries: at most four.
    """
    return [*_of_lane(lane, since, heard_since), *_of_endpoints(lane, since, heard_since), *_of_alerts(lane, since)]


def of_check(detail: str) -> str:
    return f"Its health check says: {detail}"


def of_alert(alert: Alert) -> str:
    return f"The alert {alert.name} fires. {alert.summary}".strip()


def _of_lane(lane: Lane, since: datetime, heard_since: datetime) -> list[Trouble]:
    if lane.health != Health.FAULTY or lane.health_since is None or lane.health_checked_at is None:
        return []
    if lane.health_since < since or lane.health_checked_at < heard_since:
        return []
    if not HealthSample.objects.filter(lane=lane, verdict=Health.HEALTHY).exists():
        return []
    return [Trouble(of_check(lane.health_detail), lane.health_since)]


def _of_endpoints(lane: Lane, since: datetime, heard_since: datetime) -> list[Trouble]:
    faulty = EndpointCheck.objects.filter(
        lane=lane, verdict=Health.FAULTY, verdict_since__gte=since, checked_at__gte=heard_since
    )
    found = {check.pk: check for check in faulty if check.may_roll_back}
    proved = EndpointSample.objects.filter(endpoint__in=found, verdict=Health.HEALTHY).order_by()
    return [
        Trouble(of_check(f"{check.name}: {check.detail}"), check.verdict_since or since)
        for check in (found[pk] for pk in proved.values_list("endpoint", flat=True).distinct())
    ]


def _of_alerts(lane: Lane, since: datetime) -> list[Trouble]:
    firing = Alert.objects.firing().filter(lane=lane, severity__in=settings.ALERT_SEVERITIES, starts_at__gte=since)
    return [Trouble(of_alert(alert), alert.starts_at) for alert in firing]
