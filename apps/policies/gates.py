"""The rules between a release and a target, each a pure function: the same policy and facts, the same answer.

No Django, no clock, no query. Every gate is judged, also when an earlier one does not let pass: people want to see all
that is missing at once. Results come in the order of `Gate`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.policies import (
    checklists,
    compatibility,
    data_migrations,
    emergencies,
    evidence,
    performance,
    provenance,
    recovery,
    requirements,
    ways_back,
)
from apps.policies.clauses import REPORTED, WAIVABLE, Clause, Gate, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.facts import (
    Facts,
    ReleaseFacts,
    RequirementFacts,
    TierPassed,
    WaiverFacts,
)
from apps.policies.judgement import ENGINEERS, OPERATORS, Judgement, Rule, either, listed, moment, not_asked

TITLES: dict[Gate, str] = {
    Gate.PREVIOUS_TIER: "Previous tier",
    Gate.ARTIFACT: "Artifact",
    Gate.TESTS: "Tests",
    Gate.COVERAGE: "Coverage",
    Gate.SECURITY_SCAN: "Security scan",
    Gate.PARTS_LIST: "Parts list",
    Gate.PROVENANCE: "Provenance",
    Gate.PERFORMANCE: "Performance",
    Gate.API_COMPATIBILITY: "Interface compatibility",
    Gate.MIGRATIONS: "Data migrations",
    Gate.EVENT_COMPATIBILITY: "Event compatibility",
    Gate.VERSION_ORDER: "Version order",
    Gate.QUARANTINE: "Release state",
    Gate.ROLLBACK_READINESS: "Rollback readiness",
    Gate.RECOVERY: "Backups and recovery",
    Gate.FREEZE: "Freeze",
    Gate.HOLD: "Hold",
    Gate.EMERGENCY_PATH: "Emergency path",
    Gate.WINDOW: "Deployment window",
    Gate.ENVIRONMENT: "Environment",
    Gate.CHECKLIST: "Checklist",
    Gate.APPROVALS: "Approvals",
}


@dataclass(frozen=True)
class GateResult:
    """What one gate says. `evidence` are short facts behind the sentence, `who` can change it ("" when nobody has to);
    `next_open` is when time alone may change it. `clause` is the id of the policy's rule, "" for none.
    """

    name: str
    title: str
    outcome: Outcome
    sentence: str
    evidence: tuple[str, ...] = ()
    who: str = ""
    next_open: datetime | None = None
    clause: str = ""

    @property
    def goes_by_reports(self) -> bool:
        return self.name in REPORTED and self.outcome != Outcome.NOT_REQUIRED

    @property
    def goes_by_findings(self) -> bool:
        return self.goes_by_reports and self.name == Gate.SECURITY_SCAN

    @property
    def goes_by_comparison(self) -> bool:
        return self.name == Gate.API_COMPATIBILITY and self.outcome != Outcome.NOT_REQUIRED

    @property
    def goes_by_events(self) -> bool:
        return self.name == Gate.EVENT_COMPATIBILITY and self.outcome != Outcome.NOT_REQUIRED

    @property
    def goes_by_records(self) -> bool:
        return self.name == Gate.RECOVERY and self.outcome != Outcome.NOT_REQUIRED

    @property
    def goes_by_requirements(self) -> bool:
        return self.name == Gate.ENVIRONMENT and self.outcome != Outcome.NOT_REQUIRED

    @property
    def first_clause(self) -> str:
        return self.clause.partition(",")[0]


def evaluate(policy: TierPolicy, facts: Facts) -> tuple[GateResult, ...]:
    """This function will judge every gate of a tier.

    Shapes: one result for each `Gate`, in that order; `policy` holds only the clauses that apply to the environment.
    """
    return tuple(_named(gate, policy, judge(gate, policy, facts)) for gate in Gate)


def lets_pass(results: tuple[GateResult, ...]) -> bool:
    """This function will say whether every gate lets the deployment start."""
    return all(result.outcome.lets_pass for result in results)


def is_hotfix(release: ReleaseFacts, production: ReleaseFacts | None) -> bool:
    """This function will say whether a release is a patch of what Production runs, and nothing more than that."""
    if production is None or release.is_prerelease:
        return False
    return release.order[:2] == production.order[:2] and release.order > production.order


def counts(requirement: RequirementFacts, facts: Facts) -> bool:
    """This function will say whether a requirement is met: decided on this plan, in time, by somebody who still may."""
    decision = requirement.decision
    return (
        decision is not None
        and decision.plan_hash == facts.plan_hash
        and decision.holds_role
        and facts.at < decision.lapses_at
    )


def judge(gate: Gate, policy: TierPolicy, facts: Facts) -> Judgement:
    """This function will judge one gate by its rule.

    One that holds back lets pass while a waiver of it lasts, and keeps saying why.
    """
    clause = policy.clause_of(gate)
    judgement = RULES[gate](policy, clause, facts)
    waiver = _waiver(gate, clause, facts)
    if waiver is None or judgement.outcome.lets_pass:
        return judgement
    words = f"Waived by {waiver.by} until {moment(waiver.until)}: “{waiver.reason}”. {judgement.sentence}"
    return Judgement(Outcome.WAIVED, words, judgement.evidence)


def _waiver(gate: Gate, clause: Clause | None, facts: Facts) -> WaiverFacts | None:
    """Return what waives the gate now: given on this plan by somebody who still is what the clause asks for."""
    if clause is None or gate not in WAIVABLE:
        return None
    mine = [waiver for waiver in facts.waivers if (waiver.gate, waiver.plan_hash) == (gate, facts.plan_hash)]
    by_role = [waiver for waiver in mine if waiver.holds_role and waiver.role == clause.settings.get("waived_by")]
    return next((waiver for waiver in by_role if facts.at < waiver.until), None)


def _previous_tier(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    if not facts.path:
        return Judgement(Outcome.NOT_REQUIRED, f"{policy.label} is where releases start: no tier comes before it.")
    if clause is None:
        return not_asked(policy, "that a release ran elsewhere before")
    before, missing = facts.path[-1], [passed.tier for passed in facts.path if passed.at is None]
    if before.at is None:
        return Judgement(
            Outcome.FAILED,
            f"{facts.service} {facts.release.version} has not succeeded in {before.tier} yet. "
            f"Missing: {listed(missing)}.",
            who=ENGINEERS,
        )
    evidence = f"{before.promotion} completed at {moment(before.at)}"
    if minutes := _soak_minutes(clause, before):
        return _soaked(before, minutes, facts, evidence)
    return Judgement(Outcome.PASSED, f"Succeeded in {before.where} ({before.tier}) before.", (evidence,))


def _soak_minutes(clause: Clause, before: TierPassed) -> int:
    """Return how long the release must have run well there: longer where somebody had reason to look more closely."""
    minutes = clause.number_or("soak_minutes", 0)
    return minutes * clause.number_or("close_watch_soak_percent", 200) // 100 if before.watched_closely else minutes


def _soaked(before: TierPassed, minutes: int, facts: Facts, evidence: str) -> Judgement:
    why = ", longer because its lane was watched closely" if before.watched_closely else ""
    asked = f"{minutes} min of soak{why}"
    if before.soaks_since is None:
        return Judgement(
            Outcome.WAITING,
            f"{facts.release.version} does not soak in {before.where} ({before.tier}) while something is wrong there, "
            f"as a health check or an alert says: {asked}.",
            (evidence,),
            who=ENGINEERS,
        )
    over_at = before.soaks_since + timedelta(minutes=minutes)
    if facts.at < over_at:
        return Judgement(
            Outcome.WAITING,
            f"Soaks in {before.where} ({before.tier}) until {moment(over_at)}: {asked}.",
            (evidence,),
            next_open=over_at,
        )
    return Judgement(Outcome.PASSED, f"Soaked in {before.where} ({before.tier}): {asked}.", (evidence,))


def _artifact(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    artifact = facts.artifact
    if artifact is None:
        return Judgement(Outcome.FAILED, "The release has no artifact.", who=ENGINEERS)
    if artifact.digest != artifact.sealed_digest:
        return Judgement(
            Outcome.FAILED,
            f"The artifact has the digest {_short(artifact.digest)}, "
            f"the release was sealed with {_short(artifact.sealed_digest)}.",
            who=ENGINEERS,
        )
    if artifact.gone:
        return Judgement(
            Outcome.FAILED,
            f"The artifact store no longer holds {artifact.gone[0]}, which was built here.",
            artifact.gone,
            who=ENGINEERS,
        )
    held = f"{artifact.stored} of {artifact.parts} files are in the store"
    if artifact.is_stored:
        return Judgement(Outcome.PASSED, f"Sealed as {_short(artifact.digest)}, and {held}.", (artifact.digest,))
    return Judgement(
        Outcome.PASSED,
        f"Sealed as {_short(artifact.digest)}; {held}, the rest is fetched and verified at the first deployment.",
        (artifact.digest,),
    )


def _version_order(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    release, live = facts.release, facts.live
    if clause is not None and not clause.settings.get("prereleases", True) and release.is_prerelease:
        return Judgement(
            Outcome.FAILED, f"{release.version} is a pre-release; {policy.label} takes none.", who=ENGINEERS
        )
    emergency = facts.emergency
    if emergency is not None and not is_hotfix(release, emergency.production):
        return Judgement(
            Outcome.FAILED,
            f"An emergency takes only a patch of what Production runs, {_version(emergency.production)}; "
            f"{release.version} is none.",
            who=ENGINEERS,
        )
    if live is None:
        return Judgement(Outcome.PASSED, f"Nothing runs there yet; {release.version} is the first.")
    if release.order < live.order:
        return Judgement(
            Outcome.FAILED,
            f"{release.version} is lower than {live.version}, which runs there. To go back, use a rollback.",
            who=ENGINEERS,
        )
    if release.order == live.order:
        return Judgement(Outcome.PASSED, f"{release.version} runs there already and would be deployed again.")
    return Judgement(Outcome.PASSED, f"{release.version} is higher than {live.version}, which runs there.")


def _quarantine(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    release = facts.release
    match release.state:
        case "SEALED":
            return Judgement(Outcome.PASSED, f"{release.version} is sealed and not in quarantine.")
        case "QUARANTINED":
            why = release.quarantine_reason or "no reason was given"
            return Judgement(
                Outcome.FAILED, f"{release.version} is in quarantine: “{why}”.", who="Whoever may lift a quarantine"
            )
        case "RETIRED":
            return Judgement(Outcome.FAILED, f"{release.version} is retired: release a newer one.", who=ENGINEERS)
        case _:
            return Judgement(Outcome.FAILED, f"{release.version} is not sealed yet.", who=ENGINEERS)


def _freeze(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    if not facts.freezes:
        return Judgement(Outcome.PASSED, "Nothing is frozen here.")
    ends = [freeze.ends_at for freeze in facts.freezes]
    last = max((end for end in ends if end is not None), default=None) if None not in ends else None
    first = facts.freezes[0]
    told = tuple(f"{freeze.scope}: {freeze.reason}" for freeze in facts.freezes)
    if facts.emergency is not None:
        return Judgement(
            Outcome.PASSED,
            f"Passed because of incident {facts.emergency.incident}, although frozen by {first.by} ({first.scope}): "
            f"“{first.reason}”.",
            told,
        )
    return Judgement(
        Outcome.WAITING,
        f"Frozen by {first.by} ({first.scope}): “{first.reason}”. "
        + (f"Ends at {moment(last)}." if last else "It has no end: somebody must lift it."),
        told,
        who="Whoever may lift a freeze",
        next_open=last,
    )


def _hold(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    if facts.hold is None:
        return Judgement(Outcome.PASSED, "No hold on this lane.")
    return Judgement(
        Outcome.WAITING,
        f"On hold since {moment(facts.hold.since)}: “{facts.hold.reason}”. A person must lift it.",
        who=OPERATORS,
    )


def _window(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    if clause is None:
        return not_asked(policy, "for a deployment window")
    if facts.window is None:
        return Judgement(
            Outcome.NOT_REQUIRED, f"No deployment window is set for {facts.environment}: any time will do."
        )
    if facts.window.is_open:
        return Judgement(Outcome.PASSED, facts.window.sentence)
    if facts.emergency is not None:
        return Judgement(
            Outcome.PASSED, f"Passed because of incident {facts.emergency.incident}. {facts.window.sentence}"
        )
    return Judgement(Outcome.WAITING, facts.window.sentence, next_open=facts.window.next_open)


def _checklist(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    return checklists.before_start(policy, facts, lambda gate: judge(gate, policy, facts))


def _approvals(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    spared = tuple(f"{each.id} is for {either([trait.phrase for trait in each.traits])}" for each in policy.spared)
    if not facts.requirements and spared:
        told = "; ".join(spared)
        return Judgement(Outcome.NOT_REQUIRED, f"Nobody has to approve it, since it is none of this: {told}.")
    asked = dict.fromkeys(each.word("role") for each in policy.clauses_of(Gate.APPROVALS))
    # A policy may have come into force since the promotion was planned: whom it asks for now was not asked yet.
    known = {requirement.role for requirement in facts.requirements}
    unknown = [role for role in asked if role not in known]
    if not facts.requirements and not unknown:
        return not_asked(policy, "for an approval")
    met = [requirement for requirement in facts.requirements if counts(requirement, facts)]
    open_ones = [requirement for requirement in facts.requirements if requirement not in met]
    evidence = tuple(
        f"{requirement.label}: {requirement.decision.person_label if requirement.decision else ''}"
        for requirement in met
    ) + tuple(f"Not asked: {each}" for each in spared)
    tally = f"{len(met)} of {len(facts.requirements) + len(unknown)} approvals given"
    if not open_ones and not unknown:
        return Judgement(Outcome.PASSED, f"{tally}.", evidence)
    labels = listed([*(requirement.label for requirement in open_ones), *unknown])
    stuck = [requirement.label for requirement in open_ones if not requirement.may_decide]
    nobody = f" Nobody can decide as {listed(stuck)} now: give somebody the role." if stuck else ""
    return Judgement(Outcome.WAITING, f"{tally}. Waiting for {labels}.{nobody}", evidence, who=labels)


RULES: dict[Gate, Rule] = {
    Gate.PREVIOUS_TIER: _previous_tier,
    Gate.ARTIFACT: _artifact,
    Gate.TESTS: evidence.tests,
    Gate.COVERAGE: evidence.coverage,
    Gate.SECURITY_SCAN: evidence.security_scan,
    Gate.PARTS_LIST: evidence.parts_list,
    Gate.PROVENANCE: provenance.origin,
    Gate.PERFORMANCE: performance.speed,
    Gate.API_COMPATIBILITY: compatibility.api,
    Gate.MIGRATIONS: data_migrations.migrations,
    Gate.EVENT_COMPATIBILITY: compatibility.events,
    Gate.VERSION_ORDER: _version_order,
    Gate.QUARANTINE: _quarantine,
    Gate.ROLLBACK_READINESS: ways_back.readiness,
    Gate.RECOVERY: recovery.recovery,
    Gate.FREEZE: _freeze,
    Gate.HOLD: _hold,
    Gate.EMERGENCY_PATH: emergencies.emergency_path,
    Gate.WINDOW: _window,
    Gate.ENVIRONMENT: requirements.environment,
    Gate.CHECKLIST: _checklist,
    Gate.APPROVALS: _approvals,
}


def _named(gate: Gate, policy: TierPolicy, judgement: Judgement) -> GateResult:
    return GateResult(
        name=gate.value,
        title=TITLES[gate],
        outcome=judgement.outcome,
        sentence=judgement.sentence,
        evidence=judgement.evidence,
        who=judgement.who,
        next_open=judgement.next_open,
        clause=", ".join(clause.id for clause in policy.clauses_of(gate)),
    )


def _version(release: ReleaseFacts | None) -> str:
    return release.version if release else "nothing"


def _short(digest: str) -> str:
    return digest[:19]
