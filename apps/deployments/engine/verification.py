"""Is what serves now good? Samples of health and traffic, judged by the terms that were agreed at the claim."""

import time
from dataclasses import asdict

from django.conf import settings

from apps.core import live
from apps.core.clock import CLOCK
from apps.deployments.engine import journal, meters
from apps.deployments.engine.attempt import Attempt
from apps.deployments.engine.meters import Meter
from apps.deployments.executors import contract
from apps.deployments.executors.contract import Cancelled, ReleaseFailed, StepResult
from apps.deployments.models import Deployment, VerificationSample
from apps.health import measures
from apps.health.measures import Measure
from apps.policies import documents
from apps.policies.models import PolicyVersion
from apps.policies.verification import Sample, Terms, Traffic, Verdict, judge, limits_of
from apps.workspaces.scope import workspace_scope


def agree(attempt: Attempt) -> None:
    """This function will store by which terms this attempt is verified, and what users got before it.

    All is taken once, at the first claim, the queries too: nothing later and no second try changes it. Raises
    StaleFence: another worker has the attempt.
    """
    if attempt.deployment.terms:
        return
    measure, source = _measured(attempt)
    before = meters.meter_of(attempt, source, Terms(), measure.queries).before()
    _agree(attempt, measure, source, before)


def agree_late(attempt: Attempt) -> None:
    """This function will store by which terms an attempt is verified that serves already, if it was lost (ADR 0053).

    What users got before can't be asked any more: the release would be compared with itself. Raises StaleFence: as
    `agree`.
    """
    if not attempt.deployment.terms:
        _agree(attempt, *_measured(attempt), Traffic())


def _measured(attempt: Attempt) -> tuple[Measure, str]:
    with workspace_scope([attempt.deployment.workspace_id]):
        measure = measures.measure_of(attempt.deployment.lane)
    return measure, meters.source_of(attempt, measure)


def _agree(attempt: Attempt, measure: Measure, source: str, before: Traffic) -> None:
    deployment = attempt.deployment
    with workspace_scope([deployment.workspace_id]):
        journal.require_owner(deployment)
        terms, policy = _terms_in_force(deployment)
        limits = limits_of(terms, before)
        deployment.terms = asdict(terms) | {
            "policy": policy,
            "before": asdict(before),
            "limits": asdict(limits),
            "source": source,
            "queries": dict(measure.queries) if source == meters.PROMETHEUS else {},
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
    agreed = attempt.deployment.terms
    queries = agreed.get("queries") or settings.PROMETHEUS_QUERIES
    meter = meters.meter_of(attempt, agreed.get("source", meters.PROXY), terms, queries)
    meter.start()
    while True:
        attempt.lease.require()
        if attempt.lease.must_end:
            raise Cancelled("Cancelled while it was verified.")
        samples.append(_take(attempt, meter))
        is_over = time.monotonic() >= over_at
        judged = judge(terms, before, samples, is_over=is_over)
        if judged.verdict == Verdict.FAIL:
            raise ReleaseFailed(judged.sentence, serving=True)
        if judged.verdict != Verdict.OPEN and (meter.has_looked or is_over):
            attempt.doubt = judged.sentence if judged.verdict == Verdict.HOLD else ""
            return StepResult(judged.sentence, changed=False)
        attempt.lease.pause(min(settings.ENGINE_VERIFY_INTERVAL.total_seconds(), max(0.0, over_at - time.monotonic())))


def _take(attempt: Attempt, meter: Meter) -> Sample:
    """Take one sample and store it."""
    answer = attempt.executor.sample(attempt.order.target)
    traffic, said = meter.take()
    sample = Sample(_fault(answer, attempt.order.release.version), traffic)
    p95 = "" if traffic.p95_ms is None else f", p95 {traffic.p95_ms:.0f} ms"
    attempt.log.write(
        f"health through the proxy: {sample.fault or answer.detail} in {answer.milliseconds:.0f} ms; "
        f"{traffic.requests} requests, {traffic.errors} failed{p95}{said and f'; {said}'}"
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
    return sample


def _terms_in_force(deployment: Deployment) -> tuple[Terms, int | None]:
    version = PolicyVersion.objects.in_force(deployment.lane.environment.tier).first()
    return (version.rules.verification, version.number) if version else (Terms(), None)


def _fault(answer: contract.Sample, version: str) -> str:
    if not answer.ok:
        return answer.detail
    if answer.version is not None and answer.version != version:
        return f"answers as {answer.version}"
    return ""
