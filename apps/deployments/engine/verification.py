"""Is what serves now good? Samples of health and traffic, judged by the terms that were agreed at the claim."""

import time
from dataclasses import asdict
from typing import Any

from django.conf import settings

from apps.core import live
from apps.core.histogram import Histogram
from apps.deployments.clock import CLOCK
from apps.deployments.engine import journal
from apps.deployments.engine.attempt import Attempt
from apps.deployments.enums import DeploymentState
from apps.deployments.executors import contract
from apps.deployments.executors.contract import (
    Cancelled,
    ExecutorError,
    ReleaseFailed,
    SlotTraffic,
    StepResult,
)
from apps.deployments.models import Deployment, VerificationSample
from apps.policies import documents
from apps.policies.models import PolicyVersion
from apps.policies.verification import Sample, Terms, Traffic, Verdict, judge, limits_of, says_something
from apps.workspaces.scope import workspace_scope

PART = 0.95


def agree(attempt: Attempt) -> None:
    """This function will store by which terms this attempt is verified, and what users got before it.

    Both are taken once, at the first claim: no later policy and no second try changes them. Raises StaleFence: another
    worker has the attempt.
    """
    deployment = attempt.deployment
    if deployment.terms:
        return
    serving = _serving(attempt)
    with workspace_scope([deployment.workspace_id]):
        journal.require_owner(deployment)
        terms, policy = _terms_in_force(deployment)
        before = _since(serving, _start_of_live(deployment)) if serving else Traffic()
        limits = limits_of(terms, before)
        deployment.terms = asdict(terms) | {
            "policy": policy,
            "before": asdict(before),
            "limits": asdict(limits),
        }
        Deployment.objects.filter(pk=deployment.pk, fence=deployment.fence).update(terms=deployment.terms)


def verify(attempt: Attempt) -> StepResult:
    """This function will take samples until they decide, or the time of the verification is over.

    Raises ReleaseFailed: a signal was over its limit too often, health never came, or nobody asked where that counts.
    Raises Cancelled: somebody asked for the end. Raises StaleFence: the lease was lost.
    """
    terms = documents.terms_of({name: attempt.deployment.terms[name] for name in asdict(Terms())})
    before = Traffic(**attempt.deployment.terms["before"])
    seconds = min(terms.limit_seconds, settings.ENGINE_VERIFY_LIMIT.total_seconds())
    over_at, samples = time.monotonic() + seconds, list[Sample]()
    start = _serving(attempt)
    _keep_start(attempt, start)
    while True:
        attempt.lease.require()
        if attempt.lease.must_end:
            raise Cancelled("Cancelled while it was verified.")
        sample, now = _take(attempt, start)
        samples.append(sample)
        # Too little traffic is no reason to lose it: the next sample counts it again.
        start = now if start is None or says_something(terms, sample.traffic) else start
        judged = judge(terms, before, samples, is_over=time.monotonic() >= over_at)
        if judged.verdict == Verdict.FAIL:
            raise ReleaseFailed(judged.sentence, serving=True)
        if judged.verdict != Verdict.OPEN:
            attempt.doubt = judged.sentence if judged.verdict == Verdict.HOLD else ""
            return StepResult(judged.sentence, changed=False)
        attempt.lease.pause(min(settings.ENGINE_VERIFY_INTERVAL.total_seconds(), max(0.0, over_at - time.monotonic())))


def _take(attempt: Attempt, start: SlotTraffic | None) -> tuple[Sample, SlotTraffic | None]:
    """Take one sample and store it; return it with the counters that the next one may count from."""
    answer = attempt.executor.sample(attempt.order.target)
    now = _serving(attempt)
    sample = Sample(_fault(answer, attempt.order.release.version), _since(now, start) if now and start else Traffic())
    traffic = sample.traffic
    p95 = "" if traffic.p95_ms is None else f", p95 {traffic.p95_ms:.0f} ms"
    attempt.log.write(
        f"health through the proxy: {sample.fault or answer.detail} in {answer.milliseconds:.0f} ms; "
        f"{traffic.requests} requests, {traffic.errors} failed{p95}"
    )
    deployment = attempt.deployment
    with workspace_scope([deployment.workspace_id]):
        journal.require_owner(deployment)
        VerificationSample.objects.create(
            workspace_id=deployment.workspace_id,
            deployment=deployment,
            taken_at=CLOCK,
            fault=sample.fault[:200],
            error_limit=deployment.terms["limits"]["error_percent"],
            p95_limit_ms=deployment.terms["limits"]["p95_ms"],
            **asdict(traffic),
        )
        live.hint(deployment.workspace_id, f"deployment:{deployment.pk}")
    return sample, now


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


def _terms_in_force(deployment: Deployment) -> tuple[Terms, int | None]:
    version = PolicyVersion.objects.in_force(deployment.lane.environment.tier).first()
    return (documents.parse(version.document).verification, version.number) if version else (Terms(), None)


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


def _fault(answer: contract.Sample, version: str) -> str:
    if not answer.ok:
        return answer.detail
    if answer.version is not None and answer.version != version:
        return f"answers as {answer.version}"
    return ""
