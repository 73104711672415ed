"""What the last answers to an endpoint check say together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.core import charts
from apps.environments.enums import Health
from apps.health.models import EndpointCheck, EndpointSample

SAMPLES = 120


@dataclass(frozen=True)
class History:
    """`latency_p95` in milliseconds, of the answers that came; None when none did, and there is no line then."""

    chart: charts.Line | None
    since: datetime
    until: datetime
    count: int
    good: int
    latest_ms: float | None
    latency_p95: float | None


def history_of(check: EndpointCheck) -> History | None:
    """This function will read the last SAMPLES answers, in one query. Shapes: None when there is none."""
    samples = list(EndpointSample.objects.filter(endpoint=check)[:SAMPLES])[::-1]
    return _history(samples) if samples else None


def _history(samples: Sequence[EndpointSample]) -> History:
    points = [(sample.checked_at.timestamp(), sample.latency_ms) for sample in samples]
    answered = sorted(value for _, value in points if value is not None)
    return History(
        chart=charts.line(points) if answered else None,
        since=samples[0].checked_at,
        until=samples[-1].checked_at,
        count=len(samples),
        good=sum(sample.verdict == Health.HEALTHY for sample in samples),
        latest_ms=samples[-1].latency_ms,
        latency_p95=answered[min(len(answered) - 1, int(len(answered) * 0.95))] if answered else None,
    )
