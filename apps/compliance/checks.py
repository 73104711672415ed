"""What the portal can say now of a control, from the database: each check is one named function.

A check says MET only of something that it saw: where there was nothing to look at, the control is not shown.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, F, Max, OuterRef, Q

from apps.accounts.enums import Capability
from apps.accounts.models import SecondFactor
from apps.approvals.enums import Choice
from apps.audit.models import Checkpoint
from apps.compliance.enums import ReviewKind, Standing, Status, Wish, WishState
from apps.compliance.models import Proposal, Review
from apps.compliance.population import running_in
from apps.deployments.engine.orders import is_observed
from apps.environments.enums import ResourceKind, Tier
from apps.environments.models import Environment, Lane, Resource
from apps.incidents.enums import DebtKind
from apps.incidents.models import Debt, Incident
from apps.policies.clauses import Gate
from apps.policies.models import PolicyVersion
from apps.releases.enums import SCANS, Severity
from apps.workspaces.models import ApiToken, Membership

# Of so many the numbers are named in a sentence.
NAMED = 5
FRESH_MINUTES = 15
SEALED_WITHIN_SECONDS = 2 * 60 * 60
ANSWERED_WITHIN = timedelta(days=30)


@dataclass(frozen=True)
class Scope:
    """Which workspaces, and the time in question: from `since` until `now`."""

    workspaces: tuple[UUID, ...]
    since: datetime
    now: datetime

    @property
    def words(self) -> str:
        return f"the last {max(1, (self.now - self.since).days)} days"


@dataclass(frozen=True)
class Result:
    status: Status
    sentence: str
    figures: Mapping[str, int] = field(default_factory=dict)


Check = Callable[[Scope], Result]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Make the function known by its name to controls.yaml."""
    CHECKS[function.__name__] = function
    return function


def run(names: set[str], scope: Scope) -> dict[str, Result]:
    """This function will run these checks, each once."""
    return {name: CHECKS[name](scope) for name in sorted(names)}


def worst(results: list[Result]) -> Status:
    """This function will return the status of a control with these checks; without any, nothing is shown."""
    return max((result.status for result in results), key=lambda status: status.rank, default=Status.NOT_SHOWN)


def _said(bad: int, seen: int, *, well: str, badly: str, nothing: str, **figures: int) -> Result:
    if bad:
        return Result(Status.ATTENTION, badly, figures)
    return Result(Status.MET, well, figures) if seen else Result(Status.NOT_SHOWN, nothing, figures)


_CHANGES = """
SELECT count(*) AS total, count(*) FILTER (WHERE others >= 2) AS two,
    count(*) FILTER (WHERE others = 1 AND is_let) AS emergencies,
    count(*) FILTER (WHERE others = 1 AND is_let AND waiting > 0) AS waiting,
    count(*) FILTER (WHERE others < 2 AND NOT is_let) AS short,
    COALESCE((array_agg(number ORDER BY number DESC) FILTER (WHERE others < 2 AND NOT is_let))[1:%(named)s], '{}')
        AS numbers,
    count(*) FILTER (WHERE late > 0) AS late,
    COALESCE((array_agg(number ORDER BY number DESC) FILTER (WHERE late > 0))[1:%(named)s], '{}') AS late_numbers,
    count(*) FILTER (WHERE tests = 'PASSED') AS tested, count(*) FILTER (WHERE tests = 'WAIVED') AS waived,
    count(*) FILTER (WHERE COALESCE(tests, '') NOT IN ('PASSED', 'WAIVED')) AS untested,
    count(*) FILTER (WHERE NOT written) AS unwritten
FROM (
    -- As an emergency it may start with one approval, if that is all that was asked of it then; once it has succeeded,
    -- those who were not asked before have to be asked afterwards.
    SELECT started.*, owed.late, owed.waiting, COALESCE(was_emergency, false) AND others >= 1 AND unanswered = 0
        AND (state <> 'SUCCEEDED' OR others + owed.total >= 2) AS is_let
    FROM (
        SELECT d.number, d.state, d.promotion_id, p.was_emergency,
            (SELECT count(*) FROM approvals_requirement q
             WHERE q.promotion_id = p.id AND (q.ended_at IS NULL OR q.ended_at > d.started_at) AND NOT EXISTS (
                SELECT FROM approvals_decision x WHERE x.requirement_id = q.id AND x.choice = %(approve)s
                    AND x.decided_at <= d.started_at AND (x.voided_at IS NULL OR x.voided_at > d.started_at)))
                AS unanswered,
            (SELECT count(DISTINCT x.decided_by_id) FROM approvals_decision x
             WHERE x.promotion_id = p.id AND x.choice = %(approve)s AND x.decided_at <= d.started_at
                AND (x.voided_at IS NULL OR x.voided_at > d.started_at)
                AND x.decided_by_id IS DISTINCT FROM p.requested_by_id
                AND x.decided_by_id IS DISTINCT FROM COALESCE(r.author_id, r.created_by_id)
                AND x.decided_by_id IS DISTINCT FROM r.committer_id) AS others,
            (SELECT gate->>'outcome' FROM jsonb_array_elements(p.gates) gate WHERE gate->>'name' = %(tests)s LIMIT 1)
                AS tests,
            EXISTS (SELECT FROM audit_event a WHERE a.target_type = 'deployment' AND a.target_id = d.id::text)
                AS written
        FROM deployments_deployment d
        JOIN environments_lane l ON l.id = d.lane_id
        JOIN environments_environment e ON e.id = l.environment_id AND e.tier = %(tier)s
        LEFT JOIN approvals_promotion p ON p.id = d.promotion_id
        LEFT JOIN releases_release r ON r.id = d.release_id
        WHERE d.workspace_id = ANY (%(workspaces)s) AND d.kind = 'DEPLOY'
            AND d.started_at >= %(since)s AND d.started_at < %(now)s
    ) started
    CROSS JOIN LATERAL (
        SELECT count(*) AS total, count(*) FILTER (WHERE b.due_at < COALESCE(b.paid_at, %(now)s)) AS late,
            count(*) FILTER (WHERE b.paid_at IS NULL) AS waiting
        FROM incidents_debt b WHERE b.promotion_id = started.promotion_id AND b.kind = %(afterwards)s) owed
) changes
"""


def _changes(scope: Scope) -> dict[str, Any]:
    values = {
        "workspaces": list(scope.workspaces), "since": scope.since, "now": scope.now, "tier": Tier.PRODUCTION.value,
        "approve": Choice.APPROVE.value, "tests": Gate.TESTS.value, "named": NAMED,
        "afterwards": DebtKind.APPROVAL.value,
    }  # fmt: skip
    return _row(_CHANGES, values)


@check
def changes_approved_by_two(scope: Scope) -> Result:
    """Every production deployment had two approvals by people who neither made nor asked for it.

    An emergency had those that its policy asks before the start, and got the others after it in time, or still may.
    """
    found = _changes(scope)
    total, short, late = found["total"], found["short"], found["late"]
    wait = f" Approvals afterwards of {found['waiting']} are not due yet." if found["waiting"] else ""
    emergencies = (
        f" {found['emergencies']} of them were emergencies, with one before the start and the others owed after it."
        if found["emergencies"] else ""
    )  # fmt: skip
    without = (
        f"{short} of {total} production deployments of {scope.words} started without two approvals by other people, "
        f"and were no emergency that its policy lets pass: {_numbers(found['numbers'])}."
    )
    owing = (
        f"{late} emergencies of {scope.words} did not get in time the approvals that they owed afterwards: "
        f"{_numbers(found['late_numbers'])}."
    )
    return _said(
        short + late, total,
        well=f"All {total} production deployments of {scope.words} had two approvals by other people."
        f"{emergencies}{wait}",
        badly=" ".join([*([without] if short else []), *([owing] if late else [])]),
        nothing=f"Nothing was deployed to Production in {scope.words}.",
        deployments=total, approved_by_two=found["two"], emergencies=found["emergencies"], without=short, late=late,
        waiting=found["waiting"],
    )  # fmt: skip


def _numbers(found: list[int]) -> str:
    return ", ".join(f"#{number}" for number in found)


@check
def changes_tested(scope: Scope) -> Result:
    """Every production deployment passed the gate of tests, or somebody waived it in their own name."""
    found = _changes(scope)
    total, untested = found["total"], found["untested"]
    waived = f" For {found['waived']} a person waived the gate." if found["waived"] else ""
    return _said(
        untested, total,
        well=f"Tests had passed before {found['tested']} of {total} production deployments of {scope.words}.{waived}",
        badly=f"{untested} of {total} production deployments of {scope.words} had no tests that passed.{waived}",
        nothing=f"Nothing was deployed to Production in {scope.words}.",
        deployments=total, tested=found["tested"], waived=found["waived"], untested=untested,
    )  # fmt: skip


@check
def changes_written_down(scope: Scope) -> Result:
    """Every production deployment has its entries in the ledger."""
    found = _changes(scope)
    total, unwritten = found["total"], found["unwritten"]
    return _said(
        unwritten, total,
        well=f"All {total} production deployments of {scope.words} have entries in the audit trail.",
        badly=f"{unwritten} of {total} production deployments of {scope.words} have no entry in the audit trail.",
        nothing=f"Nothing was deployed to Production in {scope.words}.",
        deployments=total, without_entry=unwritten,
    )  # fmt: skip


@check
def population_complete(scope: Scope) -> Result:
    """Everything that was seen running was brought by a deployment on record, and nothing drifts."""
    running: Any = running_in(scope.workspaces).order_by()
    found: Counter[str] = Counter()
    unseen = 0
    ways = running.values_list("standing", "executor", "is_named").annotate(n=Count("pk"))
    for standing, executor, is_named, n in ways:
        found[standing] += n
        unseen += 0 if is_named or is_observed(executor) else n
    total, drift, without = found.total(), found[Standing.DRIFT], found[Standing.NO_ENTRY]
    beside = f" Whether {unseen} of them drift is not observed: their executors can't see it." if unseen else ""
    return _said(
        drift + without, total,
        well=f"Each of the {total} things that run was brought by a deployment on record.{beside}",
        badly=f"Of {total} things that run, {drift} drift and {without} have no deployment on record.{beside}",
        nothing="Nothing runs that the portal knows of.",
        running=total, drifting=drift, without_entry=without, not_observed=unseen,
    )  # fmt: skip


@check
def policies_changed_by_two(scope: Scope) -> Result:
    """Each policy that came into force in that time was proposed by one person and put in force by another."""
    versions = PolicyVersion.objects.filter(created_at__gte=scope.since, created_at__lt=scope.now)
    found = versions.aggregate(
        two=Count("pk", filter=Q(proposal__decided_by__isnull=False)),
        # What comes with the product, or with an upgrade of it, was written by nobody here.
        shipped=Count("pk", filter=Q(proposal=None, created_by=None)),
        one=Count("pk", filter=Q(proposal=None, created_by__isnull=False)),
    )
    shipped = f" {found['shipped']} came with the product." if found["shipped"] else ""
    return _said(
        found["one"], found["two"],
        well=f"Two people changed each of the {found['two']} policies that were changed in {scope.words}.{shipped}",
        badly=f"{found['one']} policies came into force in {scope.words} without a second person.{shipped}",
        nothing=f"Nobody here changed a policy in {scope.words}.{shipped}",
        by_two=found["two"], by_one=found["one"], shipped=found["shipped"],
    )  # fmt: skip


@check
def production_asks_for_two(scope: Scope) -> Result:
    """The policy of Production in force asks for two approvals or more of an ordinary change."""
    version = PolicyVersion.objects.in_force(Tier.PRODUCTION).first()
    if version is None:
        return Result(Status.NOT_SHOWN, "No policy of Production is in force.")
    asked = sum(
        clause["gate"] == Gate.APPROVALS and clause.get("owner") != "CUSTOMER" and clause.get("when") != "EMERGENCY"
        and "traits" not in clause.get("settings", {})
        for clause in version.document.get("clauses", ())
    )  # fmt: skip
    return _said(
        asked < 2, 1,
        well=f"The policy of Production in force, version {version.number}, asks for {asked} approvals.",
        badly=f"The policy of Production in force, version {version.number}, asks for {asked} approvals: two are due.",
        nothing="",
        approvals=asked,
    )  # fmt: skip


@check
def deciders_have_second_factors(scope: Scope) -> Result:
    """Everybody whose role decides on promotions or on policies has a second factor."""
    deciding = [Capability.PROMOTION_DECIDE, Capability.POLICY_CHANGE]
    held = Membership.objects.current().visible_in(scope.workspaces).filter(role__capabilities__overlap=deciding)
    people = set(held.values_list("user_id", flat=True))
    with_one = set(SecondFactor.objects.filter(user__in=people).values_list("user_id", flat=True))
    without = len(people - with_one)
    return _said(
        without, len(people),
        well=f"All {len(people)} people who may decide have a second factor.",
        badly=f"{without} of {len(people)} people who may decide have no second factor.",
        nothing="Nobody holds a role that decides.",
        people=len(people), without=without,
    )  # fmt: skip


@check
def leavers_hold_nothing(scope: Scope) -> Result:
    """No closed account still holds a role, and no token works whose maker has gone."""
    held = (
        Membership.objects.visible_in(scope.workspaces)
        .filter(ended_at=None)
        .aggregate(all=Count("pk"), closed=Count("pk", filter=Q(user__is_active=False)))
    )
    tokens = ApiToken.objects.visible_in(scope.workspaces).usable(scope.now)
    orphans = tokens.filter(created_by__is_active=False).count()
    bad = held["closed"] + orphans
    return _said(
        bad, held["all"],
        well=f"None of the {held['all']} roles that are held is of a closed account, and no token outlived its maker.",
        badly=f"{held['closed']} roles are still held by closed accounts, and {orphans} tokens work whose maker has "
        "gone. A closed account can't sign in; end the roles and revoke the tokens.",
        nothing="Nobody holds a role.",
        roles=held["all"], of_closed_accounts=held["closed"], tokens_without_maker=orphans,
    )  # fmt: skip


@check
def environments_are_apart(scope: Scope) -> Result:
    """Each Production environment claims what it has to itself; a resource is claimed once over all workspaces."""
    # An address is claimed with each service that is prepared; what data is behind it somebody has to say.
    claims = Resource.objects.filter(environment=OuterRef("pk"), released_at=None).exclude(kind=ResourceKind.ENDPOINT)
    standing = Environment.objects.visible_in(scope.workspaces).standing().filter(tier=Tier.PRODUCTION)
    claimed = standing.filter(Exists(claims)).count()
    total = standing.count()
    return _said(
        total - claimed, total,
        well=f"Every Production environment ({total}) claims stores, channels or namespaces that no other can have.",
        badly=f"{total - claimed} of {total} Production environments claim none: nothing shows that they share "
        "none.",
        nothing="There is no Production environment.",
        environments=total, claiming=claimed,
    )  # fmt: skip


@check
def production_is_watched(scope: Scope) -> Result:
    """What runs in Production was asked for its health within a quarter of an hour."""
    lanes = (
        Lane.objects.visible_in(scope.workspaces)
        .standing()
        .filter(environment__tier=Tier.PRODUCTION, live_release__isnull=False)
    )
    ages = [
        (scope.now - at).total_seconds() if at else None for at in lanes.values_list("health_checked_at", flat=True)
    ]
    unwatched = sum(age is None or age > FRESH_MINUTES * 60 for age in ages)
    return _said(
        unwatched, len(ages),
        well=f"The health of every service in Production ({len(ages)}) was asked for within {FRESH_MINUTES} minutes.",
        badly=f"The health of {unwatched} of {len(ages)} services in Production was not asked for in the last "
        f"{FRESH_MINUTES} minutes.",
        nothing="Nothing runs in Production.",
        services=len(ages), unwatched=unwatched,
    )  # fmt: skip


_FINDINGS = """
SELECT count(DISTINCT l.id) AS lanes, count(DISTINCT l.id) FILTER (WHERE e.id IS NOT NULL) AS scanned,
    count(DISTINCT (l.service_id, f.rule, f.fingerprint)) FILTER (WHERE f.id IS NOT NULL AND NOT EXISTS (
        SELECT FROM releases_acceptance a WHERE a.service_id = l.service_id AND a.rule = f.rule
            AND a.fingerprint = f.fingerprint AND a.severity >= f.severity AND a.ended_at IS NULL
            AND a.expires_at > %(now)s)) AS open
FROM environments_lane l
JOIN environments_environment n ON n.id = l.environment_id AND n.tier = %(tier)s AND n.destroyed_at IS NULL
JOIN releases_release r ON r.id = l.live_release_id
LEFT JOIN LATERAL (
    SELECT DISTINCT ON (kind) id FROM releases_evidence WHERE release_id = r.id AND kind = ANY (%(scans)s)
        AND artifact_digest = r.artifact_digest ORDER BY kind, received_at DESC
) e ON true
LEFT JOIN releases_finding f ON f.evidence_id = e.id AND f.severity >= %(least)s
WHERE l.workspace_id = ANY (%(workspaces)s) AND l.removed_at IS NULL
"""


@check
def production_has_no_open_findings(scope: Scope) -> Result:
    """What runs in Production was scanned, and no high or critical finding stands that nobody answers for."""
    found = _row(_FINDINGS, {
        "workspaces": list(scope.workspaces), "tier": Tier.PRODUCTION.value, "now": scope.now,
        "scans": [kind.value for kind in SCANS], "least": Severity.HIGH.value,
    })  # fmt: skip
    lanes, scanned = found["lanes"], found["scanned"]
    if lanes and scanned < lanes and not found["open"]:
        sentence = f"Only {scanned} of {lanes} services in Production run a release with the report of a scanner."
        return Result(Status.NOT_SHOWN, sentence, found)
    return _said(
        found["open"], lanes,
        well=f"No high or critical finding stands against the {lanes} services in Production that nobody accepted.",
        badly=f"{found['open']} high or critical findings stand against what runs in Production, and nobody accepted "
        "them.",
        nothing="Nothing runs in Production.",
        **found,
    )  # fmt: skip


@check
def incidents_are_followed_up(scope: Scope) -> Result:
    """No document, approval or merge that an emergency left owed is overdue, or was done late in that time."""
    incidents = Incident.objects.visible_in(scope.workspaces).filter(
        declared_at__gte=scope.since, declared_at__lt=scope.now
    )
    found = incidents.aggregate(all=Count("pk"), open=Count("pk", filter=Q(resolved_at=None)))
    owed = Debt.objects.visible_in(scope.workspaces).filter(due_at__lt=scope.now)
    late = owed.aggregate(
        unpaid=Count("pk", filter=Q(paid_at=None)),
        paid=Count("pk", filter=Q(paid_at__gt=F("due_at"), paid_at__gte=scope.since)),
    )
    return _said(
        late["unpaid"] + late["paid"], found["all"],
        well=f"{found['all']} incidents were declared in {scope.words}, {found['open']} of them are open; nothing that "
        "they left owed is overdue or was done late.",
        badly=f"Of what emergencies left owed, approvals afterwards, post-mortems or merges, {late['unpaid']} are "
        f"overdue and {late['paid']} were done late.",
        nothing=f"No incident was declared in {scope.words}.",
        incidents=found["all"], open=found["open"], overdue=late["unpaid"], late=late["paid"],
    )  # fmt: skip


@check
def trail_is_sealed(scope: Scope) -> Result:
    """Every workspace with entries has a signed checkpoint that is not old."""
    newest = Checkpoint.objects.visible_in(scope.workspaces).order_by().values("workspace_id")
    signed = dict(newest.annotate(at=Max("signed_at")).values_list("workspace_id", "at"))
    return sealed({workspace: signed.get(workspace) for workspace in scope.workspaces}, now=scope.now)


def sealed(signed: Mapping[UUID, datetime | None], *, now: datetime) -> Result:
    """This function will judge when the trail of each workspace was last sealed. Pure."""
    ages = [(now - at).total_seconds() for at in signed.values() if at is not None]
    old, never = sum(age > SEALED_WITHIN_SECONDS for age in ages), len(signed) - len(ages)
    return _said(
        old + (never if ages else 0), len(ages),
        well=f"Every audit trail ({len(ages)}) was sealed with a signature in the last two hours.",
        badly=f"Of {len(signed)} audit trails, {old} were last sealed more than two hours ago and {never} never.",
        nothing="No audit trail was sealed yet.",
        workspaces=len(signed), old=old, never=never,
    )  # fmt: skip


@check
def erasures_are_done(scope: Scope) -> Result:
    """Every wish to erase a person's data was carried out or turned down within a month (GDPR, Art. 12 (3))."""
    wishes = Proposal.objects.visible_in(scope.workspaces).filter(wish=Wish.ERASURE, proposed_at__lt=scope.now)
    erased, stands = Q(erasure__erased_at__isnull=False), Q(state__in=[WishState.OPEN, WishState.CONFIRMED])
    found = wishes.aggregate(
        asked=Count("pk"),
        erased=Count("pk", filter=erased),
        waiting=Count("pk", filter=stands & ~erased),
        late=Count("pk", filter=stands & ~erased & Q(proposed_at__lt=scope.now - ANSWERED_WITHIN)),
    )
    return _said(
        found["late"], found["asked"],
        well=f"{found['erased']} of {found['asked']} erasures that were asked for are done, {found['waiting']} wait, "
        "none of them for more than a month.",
        badly=f"{found['late']} of {found['asked']} erasures that were asked for wait for more than a month.",
        nothing="Nobody asked for an erasure yet.",
        **found,
    )  # fmt: skip


def _review(kind: ReviewKind, name: str, what: str) -> None:
    def reviewed(scope: Scope) -> Result:
        standing = Review.objects.visible_in(scope.workspaces).standing().filter(kind=kind)
        today = scope.now.date()
        found = standing.aggregate(
            reviews=Count("pk", distinct=True),
            overdue=Count("pk", filter=Q(next_due_date__lt=today), distinct=True),
            done=Count("pk", filter=Q(done__isnull=False), distinct=True),
        )
        return _said(
            found["overdue"], found["done"] == found["reviews"] and found["reviews"],
            well=f"{what} is on the calendar, was done, and is not overdue.",
            badly=f"{what} is overdue in {found['overdue']} of {found['reviews']} entries of the calendar.",
            nothing=f"{what} was not done yet." if found["reviews"] else f"{what} is not on the calendar of reviews.",
            **found,
        )  # fmt: skip

    reviewed.__name__, reviewed.__doc__ = name, f"{what} is done as often as its calendar says."
    check(reviewed)


_review(ReviewKind.METRICS, "metrics_are_reviewed", "The review of metrics")
_review(ReviewKind.POLICY, "policies_are_reviewed", "The review of policies")
_review(ReviewKind.RECOVERY, "recovery_is_tested", "The test of disaster recovery")
_review(ReviewKind.PENETRATION, "penetration_is_tested", "The penetration test")
_review(ReviewKind.ACCESS, "access_is_reviewed", "The review of access")
_review(ReviewKind.AUDIT, "audit_is_held", "The audit")


def _row(statement: str, values: Mapping[str, Any]) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))
