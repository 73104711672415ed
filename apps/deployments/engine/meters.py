"""What users got while a release was verified: counted by the executor's own proxy, or asked of Prometheus."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Protocol

from django.conf import settings

from apps.core import clock
from apps.core.histogram import Histogram
from apps.deployments.engine import journal
from apps.deployments.engine.attempt import Attempt
from apps.deployments.enums import DeploymentState
from apps.deployments.executors import contract
from apps.deployments.executors.contract import ExecutorError, SlotTraffic
from apps.deployments.models import Deployment
from apps.environments.models import Lane
from apps.health import measures
from apps.health.enums import TrafficSource
from apps.health.measures import Measure
from apps.integrations import prometheus
from apps.integrations.prometheus import PrometheusProblem
from apps.policies.verification import Terms, Traffic, says_something
from apps.workspaces.scope import workspace_scope

PART = 0.95
PROXY, PROMETHEUS = "proxy", "prometheus"
# What users got before is asked over at most this time.
BEFORE = timedelta(hours=1)


class Meter(Protocol):
    @property
    def has_looked(self) -> bool:
        """Has it been asked often enough for a verdict that finds nothing wrong?"""
        ...

    def before(self) -> Traffic:
        """What users got of the release that served at the claim."""
        ...

    def start(self) -> None:
        """Count from here: the new release serves."""
        ...

    def take(self) -> tuple[Traffic, str]:
        """What users got since the last take that said something; and what else is to be said of it."""
        ...


def source_of(attempt: Attempt, measure: Measure) -> str:
    """This function will say who is asked: Prometheus, if known, where nobody counts or somebody chose it."""
    if not settings.PROMETHEUS_URL:
        return PROXY
    if not attempt.executor.can.keep_warm:
        return PROMETHEUS
    if measure.source:
        return PROMETHEUS if measure.source == TrafficSource.PROMETHEUS else PROXY
    lane = attempt.deployment.lane
    is_named = f"{lane.service.slug}/{lane.environment.slug}" in settings.PROMETHEUS_LANES
    return PROMETHEUS if is_named else PROXY


def meter_of(attempt: Attempt, source: str, terms: Terms, queries: Mapping[str, str]) -> Meter:
    return PrometheusMeter(attempt, terms, queries) if source == PROMETHEUS else ProxyMeter(attempt, terms)


class ProxyMeter:
    has_looked = True

    def __init__(self, attempt: Attempt, terms: Terms) -> None:
        self._attempt, self._terms = attempt, terms
        self._start: SlotTraffic | None = None

    def before(self) -> Traffic:
        serving = _serving(self._attempt)
        if serving is None:
            return Traffic()
        deployment = self._attempt.deployment
        with workspace_scope([deployment.workspace_id]):
            return _since(serving, _start_of_live(deployment))

    def start(self) -> None:
        self._start = _serving(self._attempt)
        _keep_start(self._attempt, self._start)

    def take(self) -> tuple[Traffic, str]:
        now = _serving(self._attempt)
        traffic = _since(now, self._start) if now and self._start else Traffic()
        # Too little traffic is no reason to lose it: the next sample counts it again.
        if self._start is None or says_something(self._terms, traffic):
            self._start = now
        return traffic, ""


class PrometheusMeter:
    """Asked once in each window, of all that came since the last window that said something."""

    def __init__(self, attempt: Attempt, terms: Terms, queries: Mapping[str, str]) -> None:
        self._lane, self._terms, self._queries = attempt.deployment.lane, terms, queries
        self._looks, self._since, self._asked = 0, 0.0, 0.0

    @property
    def has_looked(self) -> bool:
        return self._looks >= self._terms.goods

    def before(self) -> Traffic:
        live_since = self._lane.live_since
        age = min(clock.now() - live_since, BEFORE) if live_since else timedelta(0)
        return asked(self._lane, age, self._queries)[0] if age >= settings.PROMETHEUS_WINDOW else Traffic()

    def start(self) -> None:
        self._since = self._asked = time.monotonic()

    def take(self) -> tuple[Traffic, str]:
        now, window = time.monotonic(), settings.PROMETHEUS_WINDOW.total_seconds()
        if now - self._asked < window:
            return Traffic(), "Prometheus is asked later"
        self._looks, self._asked = self._looks + 1, now
        traffic, said = asked(self._lane, timedelta(seconds=now - self._since), self._queries)
        if says_something(self._terms, traffic):
            self._since = now
        return traffic, said


def asked(lane: Lane, window: timedelta, queries: Mapping[str, str]) -> tuple[Traffic, str]:
    """This function will ask Prometheus what users of a lane got in the last time, and say what it says.

    Shapes: no traffic where there is no answer or no data: that is the environment's rule to judge. So it is where the
    number of requests is known but not how many of them failed: nobody could vouch for them.
    """
    found, missing = dict[str, float | None](), list[str]()
    for name, query in queries.items():
        try:
            text = measures.filled_in(query, lane, window.total_seconds())
            reading = prometheus.ask(settings.PROMETHEUS_URL, text)
        except PrometheusProblem as error:
            return Traffic(), f"Prometheus gives no data ({name}): {error}"
        found[name] = reading.value
        if reading.value is None:
            missing.append(f"{name}: {reading.why}")
    requests, ratio = found["requests"], found["error_ratio"]
    said = "by Prometheus" + (f" ({'; '.join(missing)})" if missing else "")
    if requests is None or ratio is None:
        return Traffic(), said
    # What is extrapolated is no whole number.
    return Traffic(round(requests), round(requests * min(max(ratio, 0.0), 1.0)), found["p95_ms"]), said


def _serving(attempt: Attempt) -> SlotTraffic | None:
    """Return the counters of the slot that serves; None where nobody counts."""
    try:
        slots = attempt.executor.traffic(attempt.order.target)
    except ExecutorError:
        return None
    return next((slot for slot in slots if slot.weight > 0), None)


def _since(now: SlotTraffic, start: SlotTraffic | None) -> Traffic:
    if start is None or start.slot != now.slot or now.requests < start.requests or now.errors < start.errors:
        return Traffic(now.requests, now.errors, now.times.quantile(PART))
    return Traffic(
        now.requests - start.requests, now.errors - start.errors, now.times.since(start.times).quantile(PART)
    )


def _keep_start(attempt: Attempt, start: SlotTraffic | None) -> None:
    """Remember where the counters stood when this release began to serve: the next attempt compares from there."""
    deployment = attempt.deployment
    if start is None or "start" in deployment.terms:
        return
    with workspace_scope([deployment.workspace_id]):
        journal.require_owner(deployment)
        deployment.terms |= {"start": asdict(start)}
        Deployment.objects.filter(pk=deployment.pk, fence=deployment.fence).update(terms=deployment.terms)


def _start_of_live(deployment: Deployment) -> SlotTraffic | None:
    """Return where the counters stood when what serves now began; None where nobody wrote it down."""
    last = Deployment.objects.filter(lane_id=deployment.lane_id, state=DeploymentState.SUCCEEDED)
    terms = last.order_by("-number").values_list("terms", flat=True).first() or {}
    return _slot(terms["start"]) if "start" in terms else None


def _slot(row: dict[str, Any]) -> SlotTraffic:
    times = Histogram(tuple(row["times"]["edges"]), tuple(row["times"]["counts"]))
    return SlotTraffic(**{**row, "slot": contract.Slot(row["slot"]), "times": times})
