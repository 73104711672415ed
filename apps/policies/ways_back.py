"""Can what runs be brought back? A release in this installation's store is looked for when the gate is judged; one
that is taken from elsewhere goes by what was said of it last, which gets old. Pure.
"""

from datetime import datetime, timedelta

from apps.policies import data_migrations
from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.facts import ArtifactFacts, Facts, FallbackFacts
from apps.policies.judgement import OPERATORS, Judgement, moment, not_asked

WAITS = "waits"
UNKNOWN = ("passes", WAITS)
FRESH_MINUTES = 120


def readiness(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """This function will say whether something that can run again is there: for sure, not for sure, or not at all."""
    if clause is None:
        return not_asked(policy, "for a way back")
    if not facts.fallbacks:
        return Judgement(
            Outcome.NOT_REQUIRED, f"Nothing runs in {facts.environment} yet: a first deployment has no way back."
        )
    fresh = timedelta(minutes=clause.number_or("fresh_minutes", FRESH_MINUTES))
    judged = [(each, _lack(each), _doubt(each, fresh, facts.at)) for each in facts.fallbacks]
    evidence = tuple(f"{each.release.version}: {lack or doubt or _proof(each)}" for each, lack, doubt in judged)
    possible = [(each.release.version, doubt) for each, lack, doubt in judged if not lack]
    if not possible:
        live, lack, _ = judged[0]
        words = f"There is no way back: {live.release.version}, which runs there, {lack}."
        return Judgement(Outcome.FAILED, words, evidence, who=OPERATORS)
    after = f"Limit: {clause.number('limit_minutes')} min. {data_migrations.way_back(facts)}".strip()
    ready = next((version for version, doubt in possible if not doubt), None)
    if ready is not None:
        words = f"{ready} can run again: artifact and configuration are there. {after}"
        return Judgement(Outcome.PASSED, words, evidence)
    version, doubt = possible[0]
    words = f"Not known whether {version} can run again: it {doubt}."
    if clause.settings.get("unknown") == WAITS:
        return Judgement(Outcome.INCONCLUSIVE, words, evidence, who=OPERATORS)
    return Judgement(Outcome.PASSED, f"{words} The policy of {policy.label} lets that pass. {after}", evidence)


def _lack(fallback: FallbackFacts) -> str:
    """Return what is known to be missing."""
    artifact, answer = fallback.artifact, fallback.answer
    if fallback.release.state != "SEALED":
        return f"is {fallback.release.state.lower()}"
    if artifact is None:
        return "has no artifact"
    if artifact.digest != artifact.sealed_digest:
        return "is not what was sealed"
    if fallback.is_elsewhere:
        if answer and answer.at and answer.answer == "MISSING":
            return f"was not to be had at {moment(answer.at)}: {answer.detail.rstrip('.')}"
    elif not artifact.is_stored:
        return f"is not whole in the artifact store ({_held(artifact)})"
    return "" if fallback.configuration else "has no configuration"


def _doubt(fallback: FallbackFacts, fresh: timedelta, at: datetime) -> str:
    """Return why nobody can tell whether it is there."""
    answer = fallback.answer
    if not fallback.is_elsewhere:
        return ""
    if answer is None or (answer.at is None and not answer.trouble):
        return "was not asked for yet where it is taken from"
    if answer.at is None:
        return f"could not be asked for: {answer.trouble.rstrip('.')}"
    if answer.answer == "UNKNOWN":
        return f"can't be asked for: {answer.detail.rstrip('.')}"
    if at - answer.at > fresh:
        why = f"; since then: {answer.trouble.rstrip('.')}" if answer.trouble else ""
        return f"was there at {moment(answer.at)}, which is over {fresh // timedelta(minutes=1)} min ago{why}"
    return ""


def _proof(fallback: FallbackFacts) -> str:
    answer = fallback.answer
    if not fallback.is_elsewhere or answer is None or answer.at is None or fallback.artifact is None:
        return "ready"
    since = f" Asked again at {moment(answer.asked_at)}: {answer.trouble}" if answer.trouble and answer.asked_at else ""
    said = f"{fallback.artifact.digest} was there at {moment(answer.at)}, asked by {answer.asked_by}."
    return f"{said} {answer.detail}{since}"


def _held(artifact: ArtifactFacts) -> str:
    return f"{artifact.stored} of {artifact.parts} files"
