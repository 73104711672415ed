"""What the answers to a health check say together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.core import charts
from apps.environments.enums import Health
from apps.health.models import EndpointCheck, EndpointSample, HealthSample

SAMPLES = 120


@dataclass(frozen=True)
class History:
    """`latency_p95` in milliseconds, of the answers that came; None when none did."""

    chart: charts.Line
    since: datetime
    until: datetime
    count: int
    good: int
    latest: EndpointSample | HealthSample
    latency_p95: float | None

    @property
    def label(self) -> str:
        return f"Response time of the health check, 95 of 100 within {self.latency_p95 or 0:.0f} milliseconds"

    @property
    def is_good(self) -> bool:
        return self.latest.verdict == Health.HEALTHY


def history_of(check: EndpointCheck) -> History | None:
    """This function will read the last SAMPLES answers, in one query. Shapes: None when there is none."""
    samples = list(EndpointSample.objects.filter(endpoint=check)[:SAMPLES])[::-1]
    return history(samples) if samples else None


def history(samples: Sequence[EndpointSample | HealthSample], *, mark: datetime | None = None) -> History:
    """This function will sum up samples, the oldest first, one at least; `mark` is a moment for the chart to show."""
    points = [(sample.checked_at.timestamp(), sample.latency_ms) for sample in samples]
    answered = sorted(value for _, value in points if value is not None)
    return History(
        chart=charts.line(points, mark=mark.timestamp() if mark else None),
        since=samples[0].checked_at,
        until=samples[-1].checked_at,
        count=len(samples),
        good=sum(sample.verdict == Health.HEALTHY for sample in samples),
        latest=samples[-1],
        latency_p95=answered[min(len(answered) - 1, int(len(answered) * 0.95))] if answered else None,
    )
