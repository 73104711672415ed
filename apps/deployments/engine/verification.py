"""Is what serves now good? Health through the proxy, then errors and response time against the slot before it."""

import time
from collections.abc import Iterable

from django.conf import settings

from apps.deployments.engine.attempt import Attempt
from apps.deployments.executors.contract import (
    Cancelled,
    ExecutorError,
    ReleaseFailed,
    Sample,
    SlotTraffic,
    StepResult,
)

# Fewer requests than this say nothing about a rate.
ENOUGH_REQUESTS = 20
MOST_ERRORS = 0.05
SLOWER_THAN_BEFORE = 2.0
# Below this, twice as slow is noise.
SLOW_MILLISECONDS = 100.0


def measure(attempt: Attempt) -> tuple[SlotTraffic, ...]:
    """This function will read the counters of the slots; none where the proxy doesn't know the lane yet."""
    try:
        return attempt.executor.traffic(attempt.order.target)
    except ExecutorError:
        return ()


def verify(attempt: Attempt) -> StepResult:
    """This function will sample until enough good answers came in a row.

    Raises ReleaseFailed: as many bad ones in a row, a breach under traffic, or none of it within the limit.
    Raises Cancelled: somebody asked for the end. Raises StaleFence: the lease was lost.
    """
    wanted, before = settings.ENGINE_VERIFY_SAMPLES, measure(attempt)
    limit = time.monotonic() + settings.ENGINE_VERIFY_LIMIT.total_seconds()
    good = bad = 0
    while good < wanted:
        attempt.lease.require()
        if attempt.lease.must_end:
            raise Cancelled("Cancelled while it was verified.")
        sample = attempt.executor.sample(attempt.order.target)
        fault = _fault(sample, attempt.order.release.version)
        attempt.log.write(f"health through the proxy: {fault or sample.detail} in {sample.milliseconds:.0f} ms")
        good, bad = (0, bad + 1) if fault else (good + 1, 0)
        if bad >= wanted:
            raise ReleaseFailed(f"{bad} bad health checks in a row after the switch: {fault}.", serving=True)
        if breach := breach_under_traffic(attempt.baseline, before, measure(attempt)):
            raise ReleaseFailed(breach, serving=True)
        if good < wanted and time.monotonic() > limit:
            raise ReleaseFailed(
                f"Not healthy within the limit after the switch: {fault or sample.detail}.", serving=True
            )
        if good < wanted:
            attempt.lease.pause(settings.ENGINE_VERIFY_INTERVAL.total_seconds())
    return StepResult(f"{wanted} good answers in a row through the proxy.", changed=False)


def breach_under_traffic(
    baseline: Iterable[SlotTraffic], before: Iterable[SlotTraffic], now: Iterable[SlotTraffic]
) -> str:
    """This function will say what is wrong with the slot that serves, or nothing; too little traffic says nothing.

    Shapes: `baseline` are the counters at the claim, `before` those after the switch. Units: milliseconds.
    """
    serving = next((slot for slot in now if slot.weight > 0), None)
    if serving is None:
        return ""
    start = next((slot for slot in before if slot.slot == serving.slot), None)
    requests = serving.requests - (start.requests if start else 0)
    errors = serving.errors - (start.errors if start else 0)
    if requests < ENOUGH_REQUESTS:
        return ""
    if errors / requests > MOST_ERRORS:
        return f"{errors} of {requests} requests failed after the switch."
    usual = next(
        (slot.times.quantile(0.95) for slot in baseline if slot.weight > 0 and slot.requests >= ENOUGH_REQUESTS), None
    )
    times = serving.times.since(start.times) if start else serving.times
    p95 = times.quantile(0.95)
    if usual and p95 and p95 > max(SLOW_MILLISECONDS, SLOWER_THAN_BEFORE * usual):
        return f"95 of 100 answers take up to {p95:.0f} ms after the switch, {usual:.0f} ms before."
    return ""


def _fault(sample: Sample, version: str) -> str:
    if not sample.ok:
        return sample.detail
    if sample.version is not None and sample.version != version:
        return f"answers as {sample.version}"
    return ""
