"""What a proposed policy would have made of the last promotions, as far as what is kept of them tells.

Only gates whose clauses the proposal changes are judged anew: by the reports that had come when the promotion was last
judged, by the roles that had approved, by the kind of release and its traits, and what was
waived then stays waived. What a window, a soak or a way back would have said is not kept, and is not guessed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.approvals.actions.facts import accepted_in, owner_of, release_facts, report_facts
from apps.approvals.enums import Choice
from apps.approvals.models import Decision, Promotion, Waiver
from apps.policies import documents
from apps.policies.clauses import REPORTED, Gate, Owner, TierPolicy
from apps.policies.facts import AcceptedFacts, Facts, MigrationFacts, ReportFacts
from apps.policies.gates import RULES, TITLES
from apps.policies.models import PolicyProposal
from apps.releases.models import Evidence, ReleaseChange
from apps.releases.traits import ChangedPaths, by_paths

LAST = 50
# Each release has a few reports of a kind; more than these are of pipelines that run wild, and the newest count.
REPORTS = 5000
Accepted = Mapping[UUID, tuple[AcceptedFacts, ...]]


@dataclass(frozen=True)
class HeldBack:
    """A promotion that would not have passed; `why` has a title and a sentence for each gate."""

    promotion: Promotion
    why: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Simulation:
    """`looked_at` promotions, newest first; `untold` are the titles of changed gates of which nothing is kept."""

    looked_at: int
    held_back: tuple[HeldBack, ...]
    untold: tuple[str, ...]
    changed: tuple[str, ...]


def simulate(proposal: PolicyProposal, workspaces: tuple[UUID, ...]) -> Simulation:
    """This function will judge the last promotions to the proposal's tier by what it changes (seven queries)."""
    visible = Promotion.objects.visible_in(workspaces).filter(lane__environment__tier=proposal.tier)
    promotions = list(visible.with_subject().order_by("-requested_at")[:LAST])
    old, new = documents.parse(proposal.based_on.document), documents.parse(proposal.document)
    drafts = {owner: new.for_owner(owner) for owner in (Owner.PLATFORM, Owner.CUSTOMER)}
    changed = {owner: _changed(old.for_owner(owner), draft) for owner, draft in drafts.items()}
    reports, approvals = _reports(promotions), _approvals(promotions)
    accepted = accepted_in(report for found in reports.values() for report in found)
    changes, waivers = _changes(promotions), _waivers(promotions)
    held_back, untold = [], set()
    for promotion in promotions:
        owner = owner_of(promotion.lane)
        facts = _facts(promotion, reports[promotion.release_id], accepted)
        shown = by_paths(drafts[owner].trait_paths, changes.get(promotion.release_id, ()))
        traits = {*promotion.traits, *(held.trait for held in shown)}
        why = []
        for gate in changed[owner]:
            passes, sentence = _judge(gate, drafts[owner].for_traits(traits), facts, approvals[promotion.pk])
            if passes is None:
                untold.add(gate)
            elif not passes and not _is_waived(gate, drafts[owner], promotion, waivers[promotion.pk]):
                why.append((TITLES[gate], sentence))
        if why:
            held_back.append(HeldBack(promotion, tuple(why)))
    every = {gate for gates in changed.values() for gate in gates}
    return Simulation(len(promotions), tuple(held_back), _titles(untold), _titles(every))


def _judge(gate: Gate, draft: TierPolicy, facts: Facts, approved: Counter[str]) -> tuple[bool | None, str]:
    """Return whether it lets pass (None: that can't be told), and why not."""
    clauses = draft.clauses_of(gate)
    if not clauses:
        return True, ""
    # What ran in Production then, by which a release's benchmarks are judged, is not kept.
    if gate in REPORTED and gate != Gate.PERFORMANCE:
        judgement = RULES[gate](draft, clauses[0], facts)
        return judgement.outcome.lets_pass, judgement.sentence
    if gate == Gate.APPROVALS:
        missing = Counter(clause.word("role") for clause in clauses) - approved
        return not missing, f"Nobody approved as {', '.join(sorted(missing))}."
    if gate == Gate.VERSION_ORDER:
        is_taken = bool(clauses[0].settings.get("prereleases", True)) or not facts.release.is_prerelease
        return is_taken, f"{facts.release.version} is a pre-release."
    return None, ""


def _is_waived(gate: Gate, draft: TierPolicy, promotion: Promotion, waivers: list[Waiver]) -> bool:
    """Say whether a person had waived the gate when the promotion was last judged, by the role that the draft names."""
    clause, at = draft.clause_of(gate), promotion.gates_at or promotion.requested_at
    role = clause.settings.get("waived_by") if clause else None
    return any(
        (waiver.gate, waiver.role_id, waiver.plan_hash) == (gate, role, promotion.plan_hash)
        and waiver.granted_at <= at < min(waiver.expires_at, waiver.voided_at or waiver.expires_at)
        for waiver in waivers
    )


def _changed(old: TierPolicy, new: TierPolicy) -> list[Gate]:
    changed = {gate for gate in Gate if _settings(old, gate) != _settings(new, gate)}
    if old.trait_paths != new.trait_paths and any(clause.traits for clause in new.clauses):
        changed.add(Gate.APPROVALS)
    return [gate for gate in Gate if gate in changed]


def _settings(policy: TierPolicy, gate: Gate) -> list[str]:
    """Return what a gate is judged by; ids and words of its clauses are not."""
    return sorted(repr(sorted(clause.settings.items())) for clause in policy.clauses_of(gate))


def _reports(promotions: Iterable[Promotion]) -> Mapping[UUID, list[Evidence]]:
    found: dict[UUID, list[Evidence]] = defaultdict(list)
    releases = {promotion.release_id for promotion in promotions}
    for report in Evidence.objects.filter(release_id__in=releases).select_related("environment", "release")[:REPORTS]:
        found[report.release_id].append(report)
    return found


def _changes(promotions: Iterable[Promotion]) -> Mapping[UUID, list[ChangedPaths]]:
    """Return what the release of each promotion changed; what else came with it is told by its own traits."""
    found = ReleaseChange.objects.filter(release__in=[promotion.release_id for promotion in promotions])
    return {
        row.release_id: [ChangedPaths(str(row.release), row.paths, row.is_whole)]
        for row in found.select_related("release")
    }


def _waivers(promotions: Iterable[Promotion]) -> Mapping[UUID, list[Waiver]]:
    found: dict[UUID, list[Waiver]] = defaultdict(list)
    for waiver in Waiver.objects.filter(promotion__in=list(promotions)):
        found[waiver.promotion_id].append(waiver)
    return found


def _approvals(promotions: Iterable[Promotion]) -> Mapping[UUID, Counter[str]]:
    found: dict[UUID, Counter[str]] = defaultdict(Counter)
    said = Decision.objects.standing().filter(promotion__in=list(promotions), choice=Choice.APPROVE)
    for promotion_id, role in said.values_list("promotion_id", "requirement__role_id"):
        found[promotion_id][role] += 1
    return found


def _facts(promotion: Promotion, reports: list[Evidence], accepted: Accepted) -> Facts:
    at = promotion.gates_at or promotion.requested_at
    return Facts(
        at=at,
        service=promotion.lane.service.name,
        environment=promotion.lane.environment.name,
        plan_hash=promotion.plan_hash,
        release=release_facts(promotion.release),
        artifact=None,
        migrations=tuple(
            MigrationFacts(row["id"], row["class"], row["sha256"]) for row in promotion.plan["migrations"]
        ),
        repository=promotion.lane.service.repository,
        reports=_newest(reports, accepted, promotion.release.artifact_digest, None if promotion.is_open else at),
    )


def _newest(
    reports: list[Evidence], accepted: Accepted, digest: str, until: datetime | None
) -> tuple[ReportFacts, ...]:
    """Return the newest report of each kind and subject that had come by then; `reports` are newest first."""
    found: dict[tuple[str, str], ReportFacts] = {}
    for report in reports:
        if report.artifact_digest == digest and (until is None or report.received_at <= until):
            facts = report_facts(report, accepted.get(report.pk, ()))
            found.setdefault((facts.kind, facts.subject), facts)
    return tuple(found.values())


def _titles(gates: Iterable[Gate]) -> tuple[str, ...]:
    return tuple(TITLES[gate] for gate in Gate if gate in set(gates))
