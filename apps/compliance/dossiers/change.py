"""What is asked of one change: who approved what, by which rules, and whether the duties were separate."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import User
from apps.approvals.enums import Choice
from apps.approvals.models import ChecklistLine, Decision, Promotion, Requirement, Tick, Waiver
from apps.compliance.dossiers.document import Column, Row, Section, Show, section
from apps.compliance.dossiers.ledger import Ledger, how_proved, ids
from apps.deployments.models import Deployment
from apps.incidents.models import Debt, Incident
from apps.policies.models import PolicyVersion
from apps.releases import permissions as release_permissions
from apps.releases.models import Release

GATE_TONES = {"PASSED": "ok", "FAILED": "bad", "WAIVED": "warn", "WAITING": "warn", "INCONCLUSIVE": "warn"}


@dataclass(frozen=True)
class Change:
    """A promotion with all that people said of it, and the attempts that it led to."""

    promotion: Promotion
    requirements: tuple[Requirement, ...] = ()
    decisions: tuple[Decision, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    lines: tuple[ChecklistLine, ...] = ()
    ticks: tuple[Tick, ...] = ()
    deployments: tuple[Deployment, ...] = ()

    def approval_of(self, requirement: Requirement) -> Decision | None:
        """Return the decision that meets a requirement on the plan that is deployed."""
        return next(
            (
                each
                for each in self.decisions
                if each.requirement_id == requirement.pk
                and each.voided_at is None
                and each.choice == Choice.APPROVE
                and each.plan_hash == self.promotion.plan_hash
            ),
            None,
        )

    @property
    def unmet(self) -> tuple[Requirement, ...]:
        return tuple(each for each in self.requirements if not each.ended_at and not self.approval_of(each))


def changes_of(promotions: Sequence[Promotion], *, with_lines: bool = True) -> list[Change]:
    """This function will load what belongs to promotions that come `with_subject` (six queries, four without lines)."""
    keys = [promotion.pk for promotion in promotions]
    requirements = _grouped(Requirement.objects.filter(promotion__in=keys).select_related("role").order_by("position"))
    decisions = _grouped(
        Decision.objects.filter(promotion__in=keys).with_people().select_related("delegation").order_by("decided_at")
    )
    waivers = _grouped(Waiver.objects.filter(promotion__in=keys).select_related("granted_by", "role"))
    deployments = _grouped(
        Deployment.objects.filter(promotion__in=keys).select_related("requested_by", "cancel_requested_by")
    )
    lines: dict[UUID, list[Any]] = {}
    ticks: dict[UUID, list[Any]] = {}
    if with_lines:
        lines = _grouped(ChecklistLine.objects.filter(promotion__in=keys).select_related("role"))
        ticks = _grouped(Tick.objects.filter(promotion__in=keys).with_people())
    return [
        Change(
            promotion, *(tuple(found.get(promotion.pk, ())) for found in
                         (requirements, decisions, waivers, lines, ticks, deployments))
        )
        for promotion in promotions
    ]  # fmt: skip


def _grouped(rows: Iterable[Any]) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.promotion_id].append(row)
    return found


def kind_of(deployment: Deployment) -> str:
    kind = deployment.get_kind_display()
    return f"{kind} of {deployment.rolls_back}" if deployment.rolls_back else kind


# Approvals


APPROVALS = (
    Column("promotion", "Promotion", Show.CODE, 2),
    Column("asked", "Asked of", weight=3),
    Column("clause", "Clause", Show.CODE, 2),
    Column("choice", "Said", Show.STATE, 2),
    Column("by", "Who", weight=3),
    Column("at", "When", Show.TIME, 3),
    Column("plan", "On plan", Show.CODE, 3),
    Column("proved", "How they proved who they are", weight=6),
    Column("comment", "Words", weight=4),
)


def approvals(changes: Sequence[Change], ledger: Ledger) -> Section:
    """This function will list each requirement with what was said of it, on which plan, void or not."""
    rows = [row for change in changes for row in _approvals(change, ledger)]
    says = "Each role that the policy asked for, and what was said of it. An approval holds for the plan it is of."
    return section("approvals", "Approvals", says, APPROVALS, rows, none="The policy asked nobody for an approval.")


def _approvals(change: Change, ledger: Ledger) -> Iterator[Row]:
    promotion = change.promotion
    for requirement in change.requirements:
        base = {"promotion": f"#{promotion.number}", "asked": f"{requirement.role} ({requirement.reason})",
                "clause": requirement.clause}  # fmt: skip
        said = [each for each in change.decisions if each.requirement_id == requirement.pk]
        for decision in said:
            events = ledger.of(decision.pk)
            yield Row(
                base | {
                    "choice": _said(decision, promotion), "by": decision.people, "at": decision.decided_at,
                    "plan": decision.plan_hash, "proved": _proof(decision, events), "comment": decision.comment,
                },
                ids(events),
                tone="ok" if decision == change.approval_of(requirement) else "warn",
            )  # fmt: skip
        if not said:
            gone = bool(requirement.ended_at)
            words = "No longer asked" if gone else "Nobody answered"
            yield Row(base | {"choice": words}, tone="" if gone or promotion.is_open else "bad")


def _said(decision: Decision, promotion: Promotion) -> str:
    verb = "Approved" if decision.choice == Choice.APPROVE else "Rejected"
    if decision.voided_at:
        return f"{verb}, void: {decision.void_reason}"
    return verb if decision.plan_hash == promotion.plan_hash else f"{verb}, another plan"


def _proof(decision: Decision, events: Sequence[Any]) -> str:
    said = how_proved(next((each for each in events if each.kind.startswith("decision.")), None))
    if decision.confirmed_with and "confirmed with" not in said:
        said += f"; confirmed with {decision.get_confirmed_with_display()}"
    return said


# Gates


GATES = (
    Column("gate", "Gate", weight=3),
    Column("outcome", "Outcome", Show.STATE, 2),
    Column("sentence", "What it says", weight=7),
    Column("evidence", "On what evidence", weight=5),
    Column("clause", "Clause", Show.CODE, 2),
    Column("rule", "What the clause asks", weight=6),
)


def gates(change: Change, ledger: Ledger) -> Section:
    """This function will list every gate as it was judged last, with the clauses of the policy's version (a query)."""
    promotion = change.promotion
    tier = promotion.lane.environment.tier
    policy = PolicyVersion.objects.filter(tier=tier, number=promotion.policy_version).first()
    rules = {each["id"]: each.get("text", "") for each in (policy.document.get("clauses", []) if policy else [])}
    proof = ids(ledger.about("promotion", promotion.pk, "promotion.ready", "promotion.deploying")[-2:])
    rows = [
        Row(
            {
                "gate": result.get("title") or result["name"],
                "outcome": str(result["outcome"]).replace("_", " ").lower(),
                "sentence": result["sentence"], "evidence": list(result.get("evidence", [])),
                "clause": result.get("clause", ""),
                "rule": " ".join(rules[each] for each in str(result.get("clause", "")).split(",") if each in rules),
            },
            proof,
            tone=GATE_TONES.get(result["outcome"], ""),
        )
        for result in promotion.gates
    ]  # fmt: skip
    judged = f", last at {promotion.gates_at:%Y-%m-%d %H:%M:%S} UTC" if promotion.gates_at else ""
    digest = f", SHA-256 {policy.digest}" if policy else ""
    says = f"Judged by version {promotion.policy_version} of the policy of {tier}{digest}{judged}."
    return section("gates", "Gates", says, GATES, rows, none="No gate was judged.")


# Waivers, checklists


WAIVERS = (
    Column("promotion", "Promotion", Show.CODE, 2),
    Column("gate", "Gate", weight=3),
    Column("by", "Waived by", weight=4),
    Column("at", "When", Show.TIME, 3),
    Column("until", "Until", Show.TIME, 3),
    Column("plan", "On plan", Show.CODE, 3),
    Column("reason", "Reason", weight=6),
    Column("void", "Void", weight=3),
)


def waivers(changes: Sequence[Change], ledger: Ledger) -> Section:
    rows = [
        Row(
            {
                "promotion": f"#{change.promotion.number}", "gate": each.title,
                "by": f"{each.granted_by} as {each.role}", "at": each.granted_at, "until": each.expires_at,
                "plan": each.plan_hash, "reason": each.reason, "void": each.void_reason or "",
            },
            ids(ledger.of(each.pk)),
            tone="" if each.voided_at else "warn",
        )
        for change in changes
        for each in change.waivers
    ]  # fmt: skip
    says = "A gate that a person let this promotion pass, on the plan that was shown, for a time."
    return section("waivers", "Waivers", says, WAIVERS, rows, none="No gate was waived.")


CHECKLIST = (
    Column("checklist", "Checklist", weight=3),
    Column("line", "Line", weight=6),
    Column("asked", "Ticked by", weight=3),
    Column("by", "Who", weight=3),
    Column("at", "When", Show.TIME, 3),
    Column("note", "Words", weight=5),
    Column("state", "State", Show.STATE, 3),
)


def checklists(changes: Sequence[Change], ledger: Ledger) -> Section:
    rows = [row for change in changes for line in change.lines for row in _line(change, line, ledger)]
    says = "Each line of the checklists before the start and after it. A line without a role goes by its gate."
    return section("checklists", "Checklists", says, CHECKLIST, rows, none="The policy asked for no checklist.")


def _line(change: Change, line: ChecklistLine, ledger: Ledger) -> Iterator[Row]:
    base = {
        "checklist": f"{line.title} ({'before the start' if line.phase == 'PRE' else 'afterwards'})",
        "line": line.text, "asked": str(line.role) if line.role else f"the gate of {line.follows}",
    }  # fmt: skip
    ticks = [each for each in change.ticks if each.line_id == line.pk]
    for each in ticks:
        yield Row(
            base | {
                "by": each.people, "at": each.ticked_at, "note": each.note,
                "state": f"Void: {each.void_reason}" if each.voided_at else "Ticked",
            },
            ids(ledger.of(each.pk)),
            tone="" if each.voided_at else "ok",
        )  # fmt: skip
    if all(each.voided_at for each in ticks):
        due = f", due {line.due_at:%Y-%m-%d %H:%M} UTC" if line.due_at else ""
        words = f"No longer asked: {line.end_reason}" if line.ended_at else f"Not ticked{due}"
        yield Row(base | {"state": words}, tone="" if line.ended_at else "warn")


# Incidents


INCIDENTS = (
    Column("incident", "Incident", Show.CODE, 2),
    Column("title", "What", weight=6),
    Column("severity", "Severity", weight=2),
    Column("state", "State", Show.STATE, 2),
    Column("declared", "Declared", Show.TIME, 3),
    Column("by", "By", weight=3),
    Column("resolved", "Resolved", Show.TIME, 3),
    Column("debts", "What the emergency owes", weight=7),
)


def incidents(found: Sequence[Incident], ledger: Ledger) -> Section:
    """This function will list incidents with their debts, paid or not (one query)."""
    debts: dict[UUID, list[Debt]] = defaultdict(list)
    owed = Debt.objects.filter(incident__in=[each.pk for each in found]).select_related("role", "paid_by")
    for debt in owed.order_by("due_at", "pk"):
        debts[debt.incident_id].append(debt)
    rows = [
        Row(
            {
                "incident": f"#{each.number}", "title": each.title, "severity": each.severity, "state": each.label,
                "declared": each.declared_at, "by": str(each.declared_by), "resolved": each.resolved_at,
                "debts": [debt_words(debt) for debt in debts[each.pk]],
            },
            ids(ledger.about("incident", each.pk)),
            tone="bad" if any(debt.paid_at is None for debt in debts[each.pk]) else "warn" if each.is_open else "",
            link=reverse("incidents:incident-detail", args=[each.number]),
        )
        for each in found
    ]  # fmt: skip
    says = "Incidents that are linked to it, that it was made for, or that name it."
    return section("incidents", "Incidents", says, INCIDENTS, rows, none="No incident is linked to it.")


def incidents_named(found: Sequence[Incident], ledger: Ledger) -> Iterator[Row]:
    """Yield each incident as an exception."""
    for each in found:
        said = f"{each.severity}, {each.label}: {each.title}"
        proof = ids(ledger.about("incident", each.pk)[:1])
        yield Row({"what": f"Incident #{each.number}", "said": said}, proof, "warn")


def debt_words(debt: Debt) -> str:
    if debt.paid_at is None:
        return f"{debt.what}: NOT PAID, due {debt.due_at:%Y-%m-%d %H:%M} UTC"
    late = " late," if debt.was_late else ""
    return f"{debt.what}: paid,{late} {debt.paid_at:%Y-%m-%d %H:%M} UTC by {debt.paid_by or 'the portal'}"


def incidents_about(
    deployments: Sequence[UUID], promotions: Sequence[Promotion], *, workspaces: tuple[UUID, ...]
) -> list[Incident]:
    """This function will return the incidents that are linked to these attempts or asked for these promotions."""
    linked = Q(entries__deployment__in=deployments)
    found = Incident.objects.visible_in(workspaces).filter(
        linked | Q(pk__in={each.incident_id for each in promotions if each.incident_id})
    )
    return list(found.select_related("declared_by").distinct().order_by("number"))


# People


PEOPLE = (
    Column("person", "Person", weight=4),
    Column("did", "What they did", weight=12),
)
RULES = (
    Column("rule", "Rule", weight=6),
    Column("held", "Held", Show.STATE, 2),
    Column("said", "What was seen", weight=10),
)


@dataclass
class _Roles:
    """What each person did. A name without an account is a person by its words."""

    did: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    named: dict[str, str] = field(default_factory=dict)

    def add(self, person: User | None, label: str, what: str) -> None:
        if person is None and not label:
            return
        key = str(person.pk) if person else label
        self.named[key] = str(person) if person else label
        if what not in self.did[key]:
            self.did[key].append(what)


def duties(change: Change, release: Release, deployments: Sequence[Deployment]) -> tuple[Section, Section]:
    """This function will spell out what each person did, and whether who makes, asks and approves were apart.

    Shapes: the release comes with author and committer, the promotion with its configuration's author.
    """
    promotion, roles = change.promotion, _Roles()
    roles.add(release.author, release.author_label, "wrote what the release changes")
    roles.add(release.committer, "", "committed the release")
    roles.add(release.created_by, release.created_by_label, "made the release")
    roles.add(promotion.configuration.created_by, "", f"wrote the configuration ({promotion.configuration})")
    roles.add(promotion.requested_by, promotion.requested_by_label, f"asked for promotion #{promotion.number}")
    for decision in change.decisions:
        verb = "approved" if decision.choice == Choice.APPROVE else "rejected"
        void = ", which is void" if decision.voided_at else ""
        on = f" for {decision.on_behalf_of}" if decision.on_behalf_of else ""
        roles.add(decision.decided_by, "", f"{verb} as {decision.requirement.role}{on}{void}")
        roles.add(decision.on_behalf_of, "", f"lent the role {decision.requirement.role} to {decision.decided_by}")
    for waiver in change.waivers:
        void = ", which is void" if waiver.voided_at else ""
        roles.add(waiver.granted_by, "", f"waived the gate {waiver.title} as {waiver.role}{void}")
    for tick in change.ticks:
        roles.add(tick.ticked_by, "", "ticked lines of checklists")
    for deployment in deployments:
        roles.add(deployment.requested_by, deployment.requested_by_label, f"started deployment {deployment}")
        roles.add(deployment.cancel_requested_by, "", f"asked to cancel deployment {deployment}")
    people = [Row({"person": roles.named[key], "did": did}) for key, did in roles.did.items()]
    says = "Who made, asked, approved and deployed. What the portal started by itself stands under its own name."
    table = section("people", "Who did what", says, PEOPLE, people, none="Nobody is on record.")
    return table, _rules(change, release)


def _rules(change: Change, release: Release) -> Section:
    judged = list(rules_of(change, release))
    rows = [
        Row(
            {"rule": rule, "held": "Held" if not said else "Broken", "said": said or seen}, tone="bad" if said else "ok"
        )
        for rule, said, seen in judged
    ]
    says = "Judged anew from what stands in the record, on approvals that count."
    return section("duties", "Separation of duties", says, RULES, rows, none="")


def rules_of(change: Change, release: Release) -> Iterator[tuple[str, str, str]]:
    """Yield each rule, what breaks it ("" where nothing does), and what was seen where it holds."""
    promotion = change.promotion
    counted = [each for need in change.requirements if not need.ended_at and (each := change.approval_of(need))]
    voters = [str(each.decided_by) for each in counted]
    seen = f"Approved by {', '.join(voters)}." if voters else "No approval was asked for."
    by_asker = [each for each in counted if promotion.requested_by_id in (each.decided_by_id, each.on_behalf_of_id)]
    asker = promotion.requested_by_label
    yield (
        "Who asks does not approve",
        f"{asker} asked and approved." if by_asker and promotion.requested_by_id else "",
        f"Asked by {asker}. {seen}",
    )
    by_maker = [
        f"{person} made the release and approved it."
        for each in counted
        for person in (each.decided_by, each.on_behalf_of)
        if person and any(release_permissions.own_change(person.pk, release, ""))
    ]
    yield (
        "Who makes the release does not approve it",
        " ".join(by_maker),
        f"Made by {release.author_label or release.created_by_label or 'nobody on record'}. {seen}",
    )
    used: dict[Any, int] = defaultdict(int)
    for each in counted:
        for person in filter(None, (each.decided_by, each.on_behalf_of)):
            used[person] += 1
    twice = [str(person) for person, times in used.items() if times > 1]
    yield "Nobody approves twice", f"{', '.join(twice)} stands for two approvals." if twice else "", seen
    started = any(each.started_at for each in change.deployments)
    missing = ", ".join(str(need.role) for need in change.unmet) if started and not promotion.was_emergency else ""
    yield (
        "Each role asked for approved this plan before the start",
        f"Missing: {missing}." if missing else "",
        "Started as an emergency: what was not asked before is owed afterwards." if promotion.was_emergency else
        seen if started else "It has not started.",
    )  # fmt: skip
    late = [
        str(each.decided_by)
        for each in counted
        if change.deployments and (at := min((d.started_at for d in change.deployments if d.started_at), default=None))
        and each.decided_at > at
    ]  # fmt: skip
    yield "Approvals came before the start", f"{', '.join(late)} approved after it." if late else "", seen
    waived_by_asker = [
        str(each.granted_by)
        for each in change.waivers
        if not each.voided_at and each.granted_by_id == promotion.requested_by_id
    ]
    waived = ", ".join(each.title for each in change.waivers if not each.voided_at)
    yield (
        "Who asks does not waive",
        f"{', '.join(waived_by_asker)} asked and waived a gate." if waived_by_asker else "",
        f"Waived: {waived}." if waived else "No gate was waived.",
    )


EXCEPTIONS = (
    Column("what", "What", weight=4),
    Column("said", "What is known of it", weight=12),
)


def exceptions(rows: Sequence[Row], none: str) -> Section:
    """This function will put first whatever is not as usual."""
    return section("exceptions", "Exceptions", "What is not as usual, first.", EXCEPTIONS, rows, none=none)


def unusual(change: Change, release: Release, ledger: Ledger) -> Iterator[Row]:
    """Yield what is not as usual of one change."""
    promotion = change.promotion
    name = f"Promotion #{promotion.number}"
    if promotion.was_emergency:
        events = ledger.about("promotion", promotion.pk, "promotion.requested", "promotion.deploying")
        incident = f" for incident {promotion.incident}" if promotion.incident else ""
        yield Row({"what": "Emergency", "said": f"{name} started as an emergency{incident}."}, ids(events), "warn")
    for waiver in change.waivers:
        if not waiver.voided_at:
            said = f"{waiver.title} of {name} was waived by {waiver.granted_by}: {waiver.reason}"
            yield Row({"what": "Waived gate", "said": said}, ids(ledger.of(waiver.pk)), "warn")
    for rule, said, _seen in rules_of(change, release):
        if said:
            proof = ids(ledger.about("promotion", promotion.pk, "decision.approved", "waiver.granted"))
            yield Row({"what": rule, "said": f"Not held by {name}: {said}"}, proof, "bad")
    for each in change.decisions:
        if each.choice == Choice.REJECT and not each.voided_at:
            said = f"{name} was rejected by {each.people}: {each.comment}"
            yield Row({"what": "Rejection", "said": said}, ids(ledger.of(each.pk)), "warn")
