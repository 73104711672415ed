"""All that is shown of one promotion: its gates, what it changes, and what the viewer may do with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.actions.facts import Case, open_case
from apps.approvals.actions.waivers import waivable_clause
from apps.approvals.checklists import by_phase, shown_checklists
from apps.approvals.enums import WAITING, PromotionState
from apps.approvals.inbox import GateBox, RequirementRow, gate_box
from apps.approvals.models import Promotion, Waiver
from apps.approvals.plan import plan_difference
from apps.changelogs import actions as changelog_actions
from apps.changelogs.enums import ChangeKind
from apps.changelogs.models import ChangelogEntry
from apps.configuration.difference import ChangedKey, changed_keys
from apps.environments.models import Lane
from apps.policies.checklists import Phase
from apps.policies.clauses import Clause, Gate, StepUp
from apps.policies.enums import Outcome
from apps.policies.gates import GateResult
from apps.releases import data_migrations, events
from apps.releases.events import EventBeside
from apps.releases.models import DataMigration, Release
from apps.releases.parts import PartsDifference, difference
from apps.releases.traits import HeldTrait
from apps.workspaces import rights

CHANGES_SHOWN = 20


@dataclass(frozen=True)
class Changes:
    """What is different in a lane once the release runs there."""

    before: Release | None
    after: Release
    entries: Sequence[ChangelogEntry]
    keys: tuple[ChangedKey, ...]
    migrations: tuple[DataMigration, ...] = ()
    events: tuple[EventBeside, ...] = ()
    parts: PartsDifference | None = None

    @property
    def first(self) -> Sequence[ChangelogEntry]:
        return self.entries[:CHANGES_SHOWN]

    @property
    def rest(self) -> Sequence[ChangelogEntry]:
        return self.entries[CHANGES_SHOWN:]

    @property
    def authors(self) -> int:
        return len({entry.author_label for entry in self.entries if entry.author_label})

    @property
    def breaking(self) -> int:
        return sum(entry.is_breaking for entry in self.entries)

    @property
    def dependencies(self) -> int:
        return sum(entry.kind == ChangeKind.DEPENDENCY for entry in self.entries)

    @property
    def forward_only(self) -> tuple[DataMigration, ...]:
        """The migrations that let nobody but a person go back."""
        return data_migrations.forward_only(self.migrations)

    @property
    def releases(self) -> int:
        return len({entry.release_id for entry in self.entries})


@dataclass(frozen=True)
class ShownBox:
    """The gate box as the page draws it: people stand among the gates, what still hinders comes first.

    `waivable` are the gates that hold it back and can be waived, each with the role that may.
    """

    box: GateBox
    plan_hash: str
    plan_changes: tuple[str, ...]
    waivable: Mapping[str, str] = field(default_factory=dict)
    step_up: StepUp | None = None
    """How the viewer confirms that it is them when they decide."""
    strictest_step_up: StepUp | None = None
    """How who waives a gate confirms that it is them."""
    traits: tuple[HeldTrait, ...] = ()
    spared: tuple[Clause, ...] = ()
    """The clauses that ask nothing of it, since it has none of their traits."""

    @property
    def headline(self) -> str:
        """Say the outcome in words: what failed first, then whom it waits for."""
        failed = [result.title for result in self.open_gates if result.outcome == Outcome.FAILED]
        if not failed or not self.box.promotion.is_open:
            return self.box.headline
        mine = " It also waits for you." if self.box.mine else ""
        return f"Held back by {' and '.join(title.lower() for title in failed)}.{mine}"

    @property
    def open_gates(self) -> tuple[GateResult, ...]:
        return tuple(result for result in self.box.open if not self._is_told_by_people(result))

    @property
    def passed_gates(self) -> tuple[GateResult, ...]:
        return tuple(result for result in self.box.passed if not self._is_told_by_people(result))

    @property
    def open_people(self) -> tuple[RequirementRow, ...]:
        if not self.box.promotion.is_open:
            return ()
        return tuple(row for row in self.box.requirements if row.decision is None)

    @property
    def stuck_people(self) -> tuple[RequirementRow, ...]:
        return tuple(row for row in self.open_people if row.is_stuck)

    @property
    def answered_people(self) -> tuple[RequirementRow, ...]:
        return tuple(row for row in self.box.requirements if row.decision is not None)

    @property
    def passed(self) -> int:
        return len(self.passed_gates) + len(self.answered_people)

    @property
    def total(self) -> int:
        return self.passed + len(self.open_gates) + len(self.open_people)

    @property
    def percent(self) -> int:
        return round(100 * self.passed / self.total) if self.total else 100

    @property
    def tone(self) -> str:
        if any(result.outcome == Outcome.FAILED for result in self.open_gates) and self.box.promotion.is_open:
            return "bad"
        return self.box.promotion.tone

    def _is_told_by_people(self, result: GateResult) -> bool:
        return result.name == Gate.APPROVALS and bool(self.box.requirements)


def promotion_page(promotion: Promotion, *, by: User, now: datetime) -> dict[str, Any]:
    """This function will load what is shown of a promotion that comes `with_subject`. Queries: always as many."""
    box = shown_box(promotion, by=by, now=now)
    waivers = list(Waiver.objects.of(promotion.pk))
    checklists = by_phase(shown_checklists(promotion, by, now=now))
    operate = rights.may(by, Capability.DEPLOYMENT_OPERATE, promotion.workspace_id, promotion.lane.environment)
    return {
        "promotion": promotion,
        "shown": box,
        "changes": changes_in(promotion.lane, promotion.release, promotion.configuration.values),
        "deployments": list(promotion.deployments.order_by("-number")),
        "before_start": checklists[Phase.PRE],
        "checklists": checklists[Phase.POST],
        "waivers": waivers,
        "may_waive": _may_waive(promotion, box, by=by),
        "may_end_waiver": _may_end_waiver(promotion, waivers, by=by),
        "may_withdraw": promotion.state in WAITING and permissions.may_withdraw(by, promotion, right=operate),
        "may_start": rights.may(by, Capability.PROMOTION_REQUEST, promotion.workspace_id, promotion.lane.environment),
        "fallback": next((result for result in box.box.results if result.name == Gate.ROLLBACK_READINESS), None),
    }


def _may_waive(promotion: Promotion, shown: ShownBox, *, by: User) -> tuple[GateResult, ...]:
    """Return the gates that the viewer may waive (a query for each role, where a policy names any)."""
    verdicts = {
        role: permissions.may_waive(by, role, promotion, holds_role=rights.has_role(by, role, promotion.workspace_id))
        for role in {*shown.waivable.values()}
    }
    return tuple(result for result in shown.open_gates if verdicts.get(shown.waivable.get(result.name, "")))


def _may_end_waiver(promotion: Promotion, waivers: Sequence[Waiver], *, by: User) -> frozenset[UUID]:
    """Return the waivers that the viewer may withdraw before what they let pass has started (a query for each role)."""
    if promotion.state not in WAITING:
        return frozenset()
    standing = [waiver for waiver in waivers if waiver.voided_at is None]
    held = {role: rights.has_role(by, role, promotion.workspace_id) for role in {each.role_id for each in standing}}
    return frozenset(
        each.pk for each in standing if permissions.may_withdraw_waiver(by, each, holds_role=held[each.role_id])
    )


def shown_box(promotion: Promotion, *, by: User, now: datetime) -> ShownBox:
    """This function will tell the gates, with the plan as it is now: what people read is what they decide on."""
    box = gate_box(promotion, by, now=now)
    if promotion.state != PromotionState.PENDING:
        return ShownBox(box, promotion.plan_hash, (), traits=tuple(HeldTrait(each, "") for each in promotion.traits))
    case = open_case(promotion)
    step_up = case.policy.step_up(*(row.requirement.role_id for row in box.mine))
    changed = plan_difference(promotion.plan, case.plan) if case.plan_hash != promotion.plan_hash else ()
    return ShownBox(
        box,
        case.plan_hash,
        changed,
        _waivable(case, box),
        step_up,
        strictest_step_up=case.policy.strictest_step_up,
        traits=case.traits,
        spared=case.policy.spared,
    )


def _waivable(case: Case, box: GateBox) -> dict[str, str]:
    clauses = {result.name: waivable_clause(case.policy, result.name) for result in box.open}
    return {gate: clause.word("waived_by") for gate, clause in clauses.items() if clause is not None}


def changes_in(lane: Lane, release: Release, values: Mapping[str, object]) -> Changes:
    """This function will tell what would be different in the lane. The lane comes `with_cell`."""
    before = lane.live_configuration.values if lane.live_configuration else {}
    entries = changelog_actions.between(release.service, lane.live_release, release)
    migrations = data_migrations.between(lane.live_release, release)
    published = events.changes(release.pk, lane.live_release_id)
    return Changes(
        lane.live_release,
        release,
        entries,
        changed_keys(before, values),
        migrations,
        published,
        difference(lane.live_release, release),
    )
