"""The dossier of a period: every change in it, counts that agree, what is not as usual first, and a sample to draw."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.urls import reverse

from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.audit.querysets import EventQuerySet
from apps.compliance.dossiers import change as changes
from apps.compliance.dossiers.change import Change, changes_of, kind_of
from apps.compliance.dossiers.document import Column, Dossier, Fact, Row, Section, Show, section
from apps.compliance.dossiers.ledger import UNREAD, Ledger, finished, first_and_last, ids, read
from apps.core.verdict import Invalid
from apps.deployments.enums import TERMINAL, DeploymentKind
from apps.deployments.models import Deployment
from apps.environments.models import Environment
from apps.incidents.models import Debt
from apps.workspaces.models import Workspace

MOST_CHANGES = 2_000
LISTED = 200

ENDED = tuple(f"deployment.{state.value.lower()}" for state in TERMINAL)
BEGUN = ("deployment.queued", "deployment.starting")
OF_PROMOTIONS = (
    "promotion.requested",
    "promotion.deploying",
    "decision.approved",
    "decision.rejected",
    "waiver.granted",
)
ACCESS = (
    "membership.granted", "membership.ended", "token.created", "token.revoked", "delegation.given", "delegation.ended",
    "delegation.voided", "account.created", "factor.registered", "factor.removed",
)  # fmt: skip
RULES = (
    "policy.activated", "window.set", "window.removed", "freeze.set", "freeze.lifted", "hold.set", "hold.lifted",
    "environment.created", "environment.changed", "environment.destroyed", "configuration.written",
)  # fmt: skip
DRIFT = ("lane.drifted", "lane.drift_ended", "database.changed")


class TooManyChanges(Invalid):
    code = "too_many_changes"


@dataclass(frozen=True)
class Period:
    """What is asked for. `since` is inclusive, `until` exclusive; the sample is drawn by `seed`, `size` of them."""

    workspace: Workspace
    environment: Environment | None
    since: datetime
    until: datetime
    seed: str
    size: int


def period_dossier(period: Period, *, now: datetime) -> Dossier:
    """This function will gather the dossier of a period. Queries: always as many.

    Raises TooManyChanges: there are more than `MOST_CHANGES` in it.
    """
    workspaces = (period.workspace.pk,)
    deployments = _population(period)
    promotions = _promotions(period, deployments)
    asked = changes_of(promotions, with_lines=False)
    ledger = read(
        workspaces,
        {"deployment": [each.pk for each in deployments], "promotion": [each.pk for each in promotions]},
        kinds=(*BEGUN, *ENDED, *OF_PROMOTIONS),
    )
    counts = _counts(period)
    debts = _debts(promotions)
    others = {
        "refusals": _events(period, Q(outcome="REFUSED")),
        "access": _events(period, Q(kind__in=ACCESS), everywhere=True),
        "rules": _events(period, Q(kind__in=RULES)),
        "drift": _events(period, Q(kind__in=DRIFT)),
    }
    unknown = _unknown(period, deployments)
    ledger = Ledger([*ledger.events, *(event for found in others.values() for event in found)])
    of = {each.promotion.pk: each for each in asked}
    told = [
        _asked_for(period),
        _exceptions(deployments, asked, ledger, debts=debts, counts=counts, drift=others["drift"], unknown=unknown,
                    now=min(now, period.until)),
        _counted(deployments, promotions, ledger, unknown),
        _outcomes(deployments),
        _listed(deployments, of, ledger),
        _sample(deployments, period),
        _emergencies(asked, debts, ledger, now=min(now, period.until)),
        changes.waivers(asked, ledger),
        _told("refusals", "Refusals", others["refusals"], counts.get("REFUSED", 0),
              "What people and programs tried and were not let."),
        _told("access", "Changes of access", others["access"], _sum(counts, ACCESS),
              "Roles, tokens, delegations and second factors, in the whole workspace."),
        _told("rules", "Changes of rules and places", others["rules"], _sum(counts, RULES),
              "Policies, windows, freezes, holds, environments and configurations."),
        _told("drift", "Drift, and changes past the application", others["drift"], _sum(counts, DRIFT),
              "What was seen to run without having been deployed, and governed rows that were changed otherwise."),
        _not_deployed(asked, deployments, ledger),
    ]  # fmt: skip
    subject = {
        "kind": "period", "workspace": period.workspace.pk,
        "environment": period.environment.pk if period.environment else None,
        "since": period.since, "until": period.until, "seed": period.seed, "size": period.size,
    }  # fmt: skip
    where = f"{period.environment}, {period.workspace}" if period.environment else str(period.workspace)
    title = f"Changes in {where}, {period.since:%Y-%m-%d} to {period.until - timedelta(seconds=1):%Y-%m-%d}"
    return finished(subject, title, told, ledger, workspaces=workspaces)


def sampled(keys: Sequence[str], *, seed: str, size: int) -> list[str]:
    """This function will draw a sample that anybody can draw again: the lowest SHA-256 of `seed:key` come first."""
    return sorted(keys, key=lambda key: rank(seed, key))[:size]


def rank(seed: str, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()


def _population(period: Period) -> list[Deployment]:
    found = Deployment.objects.visible_in((period.workspace.pk,)).filter(
        requested_at__gte=period.since, requested_at__lt=period.until
    )
    if period.environment:
        found = found.filter(lane__environment=period.environment)
    related = found.select_related("release__service", "lane__environment", "promotion", "rolls_back")
    rows = list(related.defer("terms", "promotion__plan", "promotion__gates").order_by("number")[: MOST_CHANGES + 1])
    if len(rows) > MOST_CHANGES:
        raise TooManyChanges(
            f"More than {MOST_CHANGES:,} changes fall into this period; nothing was made.",
            next_step="Choose a shorter period, or one environment.",
        )
    return rows


def _promotions(period: Period, deployments: Sequence[Deployment]) -> list[Promotion]:
    """Return those asked for in the period, and those that a listed deployment carries out."""
    keys = {each.promotion_id for each in deployments if each.promotion_id}
    asked = Q(requested_at__gte=period.since, requested_at__lt=period.until)
    if period.environment:
        asked &= Q(lane__environment=period.environment)
    found = Promotion.objects.visible_in((period.workspace.pk,)).filter(asked | Q(pk__in=keys))
    related = found.select_related("release__service", "lane__environment", "incident", "requested_by")
    return list(related.defer("plan", "gates").order_by("number"))


def _debts(promotions: Sequence[Promotion]) -> dict[UUID, list[Debt]]:
    found: dict[UUID, list[Debt]] = defaultdict(list)
    keys = {each.incident_id for each in promotions if each.incident_id}
    for debt in Debt.objects.filter(incident__in=keys).select_related("role", "paid_by").order_by("due_at", "pk"):
        found[debt.incident_id].append(debt)
    return found


def _ledger_of(period: Period, *, everywhere: bool = False) -> EventQuerySet:
    events: EventQuerySet = AuditEvent.objects.visible_in((period.workspace.pk,))
    events = events.filter(recorded_at__gte=period.since, recorded_at__lt=period.until)
    return events.filter(environment_id=period.environment.pk) if period.environment and not everywhere else events


def _counts(period: Period) -> dict[str, int]:
    """Return how many entries of each kind there are, and under REFUSED how many refusals."""
    found: Counter[str] = Counter()
    for kind, outcome, number in (
        _ledger_of(period).values_list("kind", "outcome").annotate(number=Count("event_id")).order_by()
    ):
        found[kind] += number
        found[outcome] += number
    if period.environment:
        everywhere = _ledger_of(period, everywhere=True).filter(kind__in=ACCESS)
        found.update(dict(everywhere.values_list("kind").annotate(number=Count("event_id")).order_by()))
    return found


def _sum(counts: Mapping[str, int], kinds: Sequence[str]) -> int:
    return sum(counts.get(kind, 0) for kind in kinds)


def _events(period: Period, wanted: Q, *, everywhere: bool = False) -> list[AuditEvent]:
    found = _ledger_of(period, everywhere=everywhere).filter(wanted)
    return list(found.defer(*UNREAD).order_by("-recorded_at", "-event_id")[:LISTED])


def _unknown(period: Period, deployments: Sequence[Deployment]) -> list[str]:
    """Return the deployments that the ledger knows of and the table does not: there are none (two queries)."""
    begun = _ledger_of(period).filter(kind__in=BEGUN, target_type="deployment")
    keys = set(begun.values_list("target_id", flat=True).distinct()) - {str(each.pk) for each in deployments}
    there = {str(key) for key in Deployment.objects.filter(pk__in=keys).values_list("pk", flat=True)}
    return sorted(keys - there)


def _asked_for(period: Period) -> Section:
    facts = (
        Fact("workspace", "Workspace", period.workspace.name),
        Fact("environment", "Environment", period.environment.name if period.environment else "all of them"),
        Fact("since", "From", period.since, Show.TIME),
        Fact("until", "Until before", period.until, Show.TIME),
        Fact("population", "A change is", "a deployment that was asked for in this time: to deploy, to roll back, or "
             "to bring another configuration"),
    )  # fmt: skip
    return Section("identity", "What this is about", "", facts)


def _exceptions(
    deployments: Sequence[Deployment], asked: Sequence[Change], ledger: Ledger, *, debts: Mapping[UUID, list[Debt]],
    counts: Mapping[str, int], drift: Sequence[AuditEvent], unknown: Sequence[str], now: datetime,
) -> Section:  # fmt: skip
    rows: list[Row] = []
    for each in unknown:
        said = f"The ledger tells of deployment {each}, and no such deployment is on record."
        rows.append(Row({"what": "Missing from the record", "said": said}, (), "bad"))
    for deployment in deployments:
        begun = ledger.about("deployment", deployment.pk)
        name = f"Deployment {deployment} of {deployment.release.service} {deployment.release}"
        if not begun:
            said = f"{name} is on record, and no entry of the ledger tells of it."
            rows.append(Row({"what": "Missing from the ledger", "said": said}, (), "bad"))
        if deployment.tone == "bad":
            said = f"{name} to {deployment.lane.environment}: {deployment.label.lower()}. {deployment.outcome}"
            rows.append(Row({"what": deployment.label, "said": said}, ids(begun[-1:]), "bad"))
        if deployment.kind == DeploymentKind.ROLLBACK:
            said = f"{name} to {deployment.lane.environment}: {deployment.label.lower()}. {deployment.reason}"
            rows.append(Row({"what": "Rollback", "said": said}, first_and_last(begun), "warn"))
    for change in asked:
        rows += changes.unusual(change, change.promotion.release, ledger)
        if change.promotion.was_emergency and change.promotion.incident_id:
            unpaid = [
                each for each in debts[change.promotion.incident_id] if each.paid_at is None and each.due_at < now
            ]
            rows += [Row({"what": "Debt overdue", "said": changes.debt_words(each)}, (), "bad") for each in unpaid]
    if counts.get("database.changed"):
        said = f"{counts['database.changed']:,} times a governed row was changed past the application."
        proof = ids(event for event in drift if event.kind == "database.changed")
        rows.append(Row({"what": "Past the application", "said": said}, proof[:10], "bad"))
    if counts.get("lane.drifted"):
        said = f"{counts['lane.drifted']:,} times something else was seen to run than was deployed."
        rows.append(Row({"what": "Drift", "said": said},
                        ids(event for event in drift if event.kind == "lane.drifted")[:10], "warn"))  # fmt: skip
    rows.sort(key=lambda row: row.tone != "bad")
    none = "Nothing unusual: no failure, rollback, emergency, waiver, broken rule, overdue debt or drift."
    return changes.exceptions(rows, none)


COUNTS = (
    Column("what", "What is counted", weight=9),
    Column("number", "Number", weight=2),
    Column("agrees", "Agrees", Show.STATE, 3),
)


def _counted(
    deployments: Sequence[Deployment], promotions: Sequence[Promotion], ledger: Ledger, unknown: Sequence[str]
) -> Section:
    total = len(deployments)
    by_state, by_kind = Counter(each.state for each in deployments), Counter(each.kind for each in deployments)
    by_place = Counter(each.lane.environment_id for each in deployments)
    recorded = sum(bool(ledger.about("deployment", each.pk)) for each in deployments)
    ended = [each for each in deployments if not each.is_open]
    told = sum(bool(ledger.about("deployment", each.pk, f"deployment.{each.state.lower()}")) for each in ended)
    with_promotion = sum(each.promotion_id is not None for each in deployments)
    without = total - with_promotion
    rollbacks = by_kind[DeploymentKind.ROLLBACK]
    counted: list[tuple[str, int, bool]] = [
        ("Changes listed below", total, True),
        ("Sum over outcomes", sum(by_state.values()), sum(by_state.values()) == total),
        ("Sum over kinds", sum(by_kind.values()), sum(by_kind.values()) == total),
        ("Sum over environments", sum(by_place.values()), sum(by_place.values()) == total),
        ("With an entry of the ledger", recorded, recorded == total),
        ("Ended", len(ended), True),
        ("Ended, with the entry that says how", told, told == len(ended)),
        ("Told by the ledger, and not on record", len(unknown), not unknown),
        ("By a promotion", with_promotion, True),
        ("Without one, all of them rollbacks", without, without <= rollbacks),
        ("Promotions asked for, or carried out, in this time", len(promotions), True),
    ]
    rows = [
        Row({"what": what, "number": number, "agrees": "yes" if agrees else "NO"}, tone="" if agrees else "bad")
        for what, number, agrees in counted
    ]
    says = "The list is the whole population: each way to count it gives the same number."
    return section("counts", "Counts", says, COUNTS, rows, none="")


OUTCOMES = (
    Column("environment", "Environment", weight=5),
    Column("kind", "Kind", weight=4),
    Column("outcome", "Outcome", Show.STATE, 4),
    Column("number", "Number", weight=2),
)


def _outcomes(deployments: Sequence[Deployment]) -> Section:
    found = Counter((each.lane.environment.name, each.get_kind_display(), each.label) for each in deployments)
    rows = [
        Row({"environment": place, "kind": kind, "outcome": outcome, "number": number})
        for (place, kind, outcome), number in sorted(found.items())
    ]
    says = f"Their numbers add up to {sum(found.values())}."
    return section("outcomes", "Changes by outcome", says, OUTCOMES, rows, none="Nothing was changed in this time.")


CHANGES = (
    Column("deployment", "Change", Show.CODE, 2),
    Column("at", "Asked", Show.TIME, 4),
    Column("what", "What", weight=5),
    Column("where", "Where", weight=3),
    Column("kind", "Kind", weight=3),
    Column("outcome", "Outcome", Show.STATE, 3),
    Column("by", "Started by", weight=3),
    Column("asked_by", "Asked by", weight=3),
    Column("approved", "Approved by", weight=6),
)


def _listed(deployments: Sequence[Deployment], of: Mapping[UUID, Change], ledger: Ledger) -> Section:
    rows = [
        Row(
            {
                "deployment": str(each), "at": each.requested_at, "what": f"{each.release.service} {each.release}",
                "where": each.lane.environment.name,
                "kind": kind_of(each),
                "outcome": each.label, "by": each.requested_by_label,
                "asked_by": each.promotion.requested_by_label if each.promotion else "",
                "approved": _approvers(of.get(each.promotion_id)) if each.promotion_id else "no promotion",
            },
            first_and_last(ledger.about("deployment", each.pk)),
            tone={"bad": "bad", "ok": "ok"}.get(each.tone, ""),
            link=reverse("compliance:dossier-deployment", args=[each.number]),
        )
        for each in deployments
    ]  # fmt: skip
    return section("changes", "All changes", "Oldest first.", CHANGES, rows, none="Nothing was changed in this time.")


def _approvers(change: Change | None) -> str:
    if change is None:
        return ""
    met = [(each, need) for need in change.requirements if (each := change.approval_of(need))]
    said = "; ".join(f"{each.people} as {need.role}" for each, need in met)
    return said or ("nobody: missing" if change.unmet else "nobody was asked")


SAMPLE = (
    Column("place", "Place", weight=1),
    Column("deployment", "Change", Show.CODE, 2),
    Column("id", "Id", Show.CODE, 6),
    Column("rank", "SHA-256 of seed:id", Show.CODE, 9),
)


def _sample(deployments: Sequence[Deployment], period: Period) -> Section:
    numbers = {str(each.pk): each for each in deployments}
    drawn = sampled(list(numbers), seed=period.seed, size=period.size)
    rows = [
        Row({"place": place, "deployment": str(numbers[key]), "id": key, "rank": rank(period.seed, key)},
            link=reverse("compliance:dossier-deployment", args=[numbers[key].number]))
        for place, key in enumerate(drawn, 1)
    ]  # fmt: skip
    says = (
        f"{len(drawn)} of {len(numbers)}, drawn with the seed “{period.seed}”: the changes whose SHA-256 of the seed, "
        "a colon and their id is lowest. The same seed draws the same sample, and anybody can draw it again."
    )
    return section("sample", "Sample", says, SAMPLE, rows, none="There is nothing to draw from.")


EMERGENCIES = (
    Column("promotion", "Promotion", Show.CODE, 2),
    Column("what", "What", weight=5),
    Column("incident", "Incident", weight=5),
    Column("by", "Asked by", weight=3),
    Column("at", "Asked", Show.TIME, 3),
    Column("paid", "Paid", weight=6),
    Column("unpaid", "Not paid", weight=6),
)


def _emergencies(
    asked: Sequence[Change], debts: Mapping[UUID, list[Debt]], ledger: Ledger, *, now: datetime
) -> Section:
    rows = []
    for change in asked:
        promotion, incident = change.promotion, change.promotion.incident
        if not promotion.was_emergency:
            continue
        owed = [
            each
            for each in (debts[promotion.incident_id] if promotion.incident_id else ())
            if each.promotion_id in (None, promotion.pk)
        ]
        unpaid = [changes.debt_words(each) for each in owed if each.paid_at is None]
        rows.append(Row(
            {
                "promotion": f"#{promotion.number}", "what": f"{promotion.release.service} {promotion.release} to "
                f"{promotion.lane.environment}", "incident": f"{incident}: {incident.title}" if incident else "",
                "by": promotion.requested_by_label, "at": promotion.requested_at,
                "paid": [changes.debt_words(each) for each in owed if each.paid_at], "unpaid": unpaid,
            },
            ids(ledger.about("promotion", promotion.pk)),
            tone="bad" if any(each.is_overdue(now) for each in owed) else "warn",
            link=reverse("approvals:promotion-detail", args=[promotion.number]),
        ))  # fmt: skip
    says = "What started before it had all its approvals, for an incident, and what that left owed."
    return section("emergencies", "Emergencies", says, EMERGENCIES, rows, none="Nothing started as an emergency.")


TOLD = (
    Column("at", "When", Show.TIME, 3),
    Column("kind", "Kind", Show.CODE, 4),
    Column("by", "By", weight=4),
    Column("said", "What", weight=11),
)


def _told(key: str, title: str, events: Sequence[AuditEvent], total: int, says: str) -> Section:
    rows = [
        Row({"at": each.recorded_at, "kind": each.kind, "by": each.actor_label, "said": each.summary}, (str(each.pk),))
        for each in events
    ]
    if total > len(rows):
        says = f"{says} The newest {len(rows)} of {total:,}; the others stand in the audit trail of this time."
    found = section(key, title, says, TOLD, rows, none="None in this time.")
    return Section(found.key, title, found.says, (Fact("total", "In all", total),), found.columns, found.rows)


NOT_DEPLOYED = (
    Column("promotion", "Promotion", Show.CODE, 2),
    Column("what", "What", weight=6),
    Column("by", "Asked by", weight=4),
    Column("at", "Asked", Show.TIME, 3),
    Column("state", "State", Show.STATE, 3),
    Column("outcome", "Outcome", weight=8),
)


def _not_deployed(asked: Sequence[Change], deployments: Sequence[Deployment], ledger: Ledger) -> Section:
    rows = list(_idle(asked, {each.promotion_id for each in deployments}, ledger))
    says = "Asked for in this time, and carried out by none of the changes above."
    return section("promotions", "Promotions without a change", says, NOT_DEPLOYED, rows, none="Every one is above.")


def _idle(asked: Sequence[Change], carried_out: set[UUID | None], ledger: Ledger) -> Iterator[Row]:
    for change in asked:
        each: Any = change.promotion
        if each.pk not in carried_out:
            yield Row(
                {
                    "promotion": f"#{each.number}", "what": f"{each.release.service} {each.release} to "
                    f"{each.lane.environment}", "by": each.requested_by_label, "at": each.requested_at,
                    "state": each.label, "outcome": each.outcome,
                },
                ids(ledger.about("promotion", each.pk)),
                link=reverse("approvals:promotion-detail", args=[each.number]),
            )  # fmt: skip
