"""What was measured of a deployment, ready to be drawn: its verification, and the health checks around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.core import charts
from apps.deployments import watching
from apps.deployments.models import Deployment, VerificationSample
from apps.health.history import History, history
from apps.health.models import Alert, HealthSample

SPAN = timedelta(minutes=30)
AFTER = timedelta(minutes=15)
AT_MOST = 400


@dataclass(frozen=True)
class Verified:
    """The samples of a verification. `limit_seconds`, `before` and `source` are what was agreed at the claim."""

    samples: Sequence[VerificationSample]
    errors: charts.Line
    times: charts.Line
    traffic: charts.Line
    requests: int
    limit_seconds: int
    before: dict[str, float | None]
    source: str

    @property
    def faults(self) -> list[str]:
        return [sample.fault for sample in self.samples if sample.fault]

    @property
    def good(self) -> int:
        return len(self.samples) - len(self.faults)

    @property
    def last(self) -> VerificationSample:
        return self.samples[-1]


def measured_context(deployment: Deployment, *, now: datetime) -> dict[str, Any]:
    """This function will load what the page draws of the measurements, in two queries."""
    return {"verified": verified(deployment), "measured": measured_around(deployment, now=now)}


def verified(deployment: Deployment) -> Verified | None:
    """This function will read the samples of the verification, in one query. Shapes: None where there are none."""
    samples = list(deployment.samples.order_by("-taken_at")[:AT_MOST])[::-1]
    if not samples:
        return None
    at = [sample.taken_at.timestamp() for sample in samples]
    last = samples[-1]
    return Verified(
        samples=samples,
        errors=charts.line([*zip(at, (row.error_percent for row in samples), strict=True)], limit=last.error_limit),
        times=charts.line([*zip(at, (row.p95_ms for row in samples), strict=True)], limit=last.p95_limit_ms),
        traffic=charts.line([*zip(at, (row.requests for row in samples), strict=True)]),
        requests=max(row.requests for row in samples),
        limit_seconds=deployment.terms["limit_seconds"],
        before=deployment.terms["before"],
        source=deployment.terms.get("source", ""),
    )


def measured_around(deployment: Deployment, *, now: datetime) -> History | None:
    """This function will read the samples of the lane while the deployment ran and half an hour before, in one query.

    Shapes: None where nothing was measured in that time.
    """
    until = min(now, deployment.ended_at + AFTER) if deployment.ended_at else now
    since = max((deployment.started_at or deployment.requested_at) - SPAN, until - 2 * SPAN)
    samples = list(
        HealthSample.objects.filter(lane_id=deployment.lane_id, checked_at__gte=since, checked_at__lte=until).order_by(
            "-checked_at"
        )[:AT_MOST]
    )[::-1]
    return history(samples, mark=deployment.started_at) if samples else None


def alerts_around(deployment: Deployment, *, now: datetime) -> list[Alert]:
    """This function will read the alerts that began in the lane from the start of the deployment until its watch ended.

    Units: the newest ten.
    """
    since = deployment.started_at or deployment.requested_at
    until = watching.over_at(deployment, deployment.lane) or now
    found = Alert.objects.filter(lane_id=deployment.lane_id, starts_at__gte=since, starts_at__lte=until)
    return list(found.select_related("lane__service", "lane__environment__workspace")[:10])
