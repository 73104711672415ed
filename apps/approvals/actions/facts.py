"""Looks up what the gates must know about one promotion: a fixed number of questions, whatever their answers."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q

from apps.approvals import permissions
from apps.approvals.actions.lines import ticks_of
from apps.approvals.artifacts import artifact_facts
from apps.approvals.deciders import deciders_of
from apps.approvals.models import ChecklistLine, Decision, Promotion, Requirement, Tick, Waiver
from apps.approvals.permissions import votes_of
from apps.approvals.plan import Plan, hash_of, plan_of
from apps.approvals.traits import traits_of
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Conflict
from apps.environments import addresses
from apps.environments.enums import FreezeScope, Tier
from apps.environments.models import ArtifactAnswer, Freeze, Hold, Lane, RecoveryRecord, Window
from apps.environments.windows import WindowRule, window_state
from apps.incidents.models import Debt
from apps.integrations.artifact_store import ArtifactStore
from apps.policies import effective
from apps.policies.checklists import Phase
from apps.policies.clauses import REPORTED, Gate, Owner, TierPolicy
from apps.policies.facts import (
    AcceptedFacts,
    AnswerFacts,
    ApiFacts,
    BaselineFacts,
    DecisionFacts,
    EmergencyFacts,
    EnvironmentFacts,
    EventFacts,
    EventsFacts,
    Facts,
    FallbackFacts,
    FreezeFacts,
    HoldFacts,
    LineFacts,
    MigrationFacts,
    Origin,
    OverdueFacts,
    RecordFacts,
    ReleaseFacts,
    ReportFacts,
    RequirementFacts,
    TickFacts,
    TierPassed,
    WaiverFacts,
    WindowFacts,
)
from apps.policies.models import PolicyVersion
from apps.releases import comparisons, data_migrations, events, signatures
from apps.releases import permissions as release_permissions
from apps.releases.enums import EvidenceKind, ReleaseKind, Severity
from apps.releases.models import Acceptance, Artifact, DataMigration, Evidence, Finding, Release
from apps.releases.repositories import repository_of
from apps.releases.traits import HeldTrait
from apps.workspaces.models import Membership


class NoPolicy(Conflict):
    """Nothing says what a promotion to this tier needs, so nothing may pass."""

    code = "no_policy"
    next_step = "Activate a policy for the tier first."


@dataclass(frozen=True)
class Case:
    """A promotion with the rules and the plan by which it is judged now."""

    promotion: Promotion
    policy: TierPolicy
    policy_version: int
    plan: Plan
    migrations: tuple[DataMigration, ...] = ()
    traits: tuple[HeldTrait, ...] = ()

    @property
    def plan_hash(self) -> str:
        return hash_of(self.plan)


def open_case(promotion: Promotion) -> Case:
    """This function will read the policy in force and plan the promotion as things are now.

    Two queries; three where the policy names files by which a release has a trait.
    Raises NoPolicy: no policy of the tier is in force.
    """
    tier = promotion.lane.environment.tier
    version = PolicyVersion.objects.in_force(tier).first()
    if version is None:
        raise NoPolicy(f"No policy is in force for {Tier(tier).label}.")
    policy = version.rules.for_owner(owner_of(promotion.lane), in_emergency=promotion.is_emergency)
    migrations = data_migrations.between(promotion.lane.live_release, promotion.release)
    traits = traits_of(promotion, policy, migrations)
    policy = policy.for_traits([held.trait for held in traits])
    return Case(promotion, policy, version.number, plan_of(promotion, policy, migrations, traits), migrations, traits)


def owner_of(lane: Lane) -> Owner:
    return Owner.PLATFORM if lane.workspace_id == PLATFORM_WORKSPACE_ID else Owner.CUSTOMER


def collect(case: Case, requirements: list[Requirement], decisions: list[Decision], *, now: datetime) -> Facts:
    """This function will look up all that the gates of this case must know.

    Shapes: `requirements` with their roles and `decisions` (standing ones, with their people) as they are at `now`.
    """
    lane, release = case.promotion.lane, case.promotion.release
    fallbacks = [found for found in (lane.live_release, lane.previous_release) if found]
    artifacts = {
        artifact.release_id: artifact
        for artifact in Artifact.objects.filter(release_id__in=[release.pk, *(found.pk for found in fallbacks)])
    }
    store = ArtifactStore(settings.ARTIFACT_DIR)
    configuration = str(lane.live_configuration) if lane.live_configuration else ""
    answers = _answers(case)
    return Facts(
        at=now,
        service=lane.service.name,
        environment=lane.environment.name,
        plan_hash=case.plan_hash,
        release=release_facts(release),
        artifact=artifact_facts(release, artifacts.get(release.pk), store),
        reports=_reports(case),
        api=_api(case),
        migrations=tuple(_migration(row) for row in case.migrations),
        events=_events(case),
        baseline=_baseline(case),
        repository=lane.service.repository,
        path=path_of(release, lane.environment.tier),
        live=release_facts(lane.live_release) if lane.live_release else None,
        fallbacks=tuple(
            FallbackFacts(
                release_facts(found),
                artifact_facts(found, artifacts.get(found.pk), store),
                configuration,
                is_elsewhere=lane.executor != addresses.LOCAL,
                answer=answers.get(found.pk),
            )
            for found in fallbacks
        ),
        records=_records(case),
        freezes=_freezes(lane, now),
        hold=_hold(lane),
        window=_window(case, now),
        requirements=requirement_facts(case, requirements, decisions, now=now),
        lines=_lines(case),
        waivers=_waivers(case),
        emergency=emergency_facts(case.promotion),
        overdue=_overdue(case, now),
        seen=_environment(case),
    )


def emergency_facts(promotion: Promotion) -> EmergencyFacts | None:
    """This function will tell of the incident that lets a promotion pass, and what Production runs (one query).

    Shapes: None unless the promotion was asked for with an incident that is open. What Production runs is that of the
    incident's environment; where it names none, of the first Production of the workspace.
    """
    incident = promotion.incident
    if incident is None or not incident.is_open:
        return None
    lanes = Lane.objects.standing().filter(
        service_id=promotion.lane.service_id,
        workspace_id=promotion.workspace_id,
        environment__tier=Tier.PRODUCTION,
        live_release__isnull=False,
    )
    if incident.environment_id:
        lanes = lanes.filter(environment_id=incident.environment_id)
    lane = lanes.select_related("live_release").order_by("environment__position", "environment__name").first()
    if lane is None or lane.live_release is None:
        return EmergencyFacts(str(incident))
    commits = lane.live_release.commit, promotion.release.commit
    return EmergencyFacts(str(incident), release_facts(lane.live_release), _origin(promotion, *commits), commits)


def _origin(promotion: Promotion, production: str, own: str) -> Origin | None:
    """Return what the repository said of the two commits; None where it was not asked about these yet."""
    if not production or not own or not repository_of(promotion.release.service).path.is_dir():
        return Origin.UNTOLD
    return Origin(promotion.origin) if promotion.cut_from == production else None


def _answers(case: Case) -> dict[UUID, AnswerFacts]:
    """Return what was said of releases where the lane takes them from, by the release's id: where a clause asks, of a
    lane that takes them from elsewhere (one query).
    """
    lane = case.promotion.lane
    if lane.executor == addresses.LOCAL or case.policy.clause_of(Gate.ROLLBACK_READINESS) is None:
        return {}
    return {
        row.release_id: AnswerFacts(row.answer, row.detail, row.answered_at, row.asked_by, row.asked_at, row.trouble)
        for row in ArtifactAnswer.objects.filter(lane=lane)
    }


def _environment(case: Case) -> EnvironmentFacts | None:
    """Return what the environment would be with the promotion's configuration, where a clause asks (two queries)."""
    if case.policy.clause_of(Gate.ENVIRONMENT) is None:
        return None
    environment = case.promotion.lane.environment
    return effective.seen_in([environment], planned=case.promotion.configuration)[environment.pk]


def _overdue(case: Case, now: datetime) -> tuple[OverdueFacts, ...]:
    """Return what emergencies of the service left owed too long, where a clause asks for it (one query)."""
    promotion = case.promotion
    if case.policy.clause_of(Gate.EMERGENCY_PATH) is None or promotion.is_emergency:
        return ()
    service_id = promotion.release.service_id
    hurried = Promotion.objects.filter(was_emergency=True, release__service_id=service_id)
    found = (
        Debt.objects.unpaid()
        .holding_back()
        .filter(
            Exists(hurried.filter(incident_id=OuterRef("incident_id"))),
            Q(promotion=None) | Q(promotion__release__service_id=service_id),
            workspace_id=promotion.workspace_id,
            due_at__lt=now,
        )
    )
    return tuple(
        OverdueFacts(debt.what, str(debt.incident), debt.due_at) for debt in found.select_related("incident", "role")
    )


def release_facts(release: Release) -> ReleaseFacts:
    return ReleaseFacts(
        version=release.version,
        order=order_of(release),
        state=release.state,
        is_prerelease=release.kind == ReleaseKind.PRERELEASE,
        quarantine_reason=release.quarantine_reason,
        commit=release.commit,
    )


def order_of(release: Release) -> tuple[int, int, int, str]:
    """This function will return what releases of a service are ordered by (SemVer precedence)."""
    return release.major, release.minor, release.patch, release.precedence


def path_of(release: Release, tier: str) -> tuple[TierPassed, ...]:
    """This function will say in which tiers before this one the release succeeded, first tier first (one query)."""
    before: list[Tier] = []
    step = Tier(tier).previous
    while step is not None:
        before.insert(0, step)
        step = step.previous
    if not before:
        return ()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tier, passed_at, environment, number, soaks_since, watched_closely FROM tiers_passed(%s, %s)",
            [release.pk, list(settings.ALERT_SEVERITIES)],
        )
        passed = {
            row[0]: TierPassed(Tier(row[0]).label, row[1], row[2], f"Promotion #{row[3]}", row[4], row[5])
            for row in cursor
        }
    return tuple(passed.get(found.value, TierPassed(found.label)) for found in before)


def requirement_facts(
    case: Case, requirements: list[Requirement], decisions: list[Decision], *, now: datetime
) -> tuple[RequirementFacts, ...]:
    """This function will say for each requirement what was decided, and who could decide (two queries).

    Shapes: `decisions` come `with_people` and `with_backing`.
    """
    if not requirements:
        return ()
    promotion = case.promotion
    roles = {requirement.role_id for requirement in requirements}
    deciders = deciders_of([promotion.workspace_id], now=now, roles=roles)
    holders = {role: {decider.person for decider in found if not decider.loan} for (_, role), found in deciders.items()}
    said = {
        decision.requirement_id: DecisionFacts(
            person=str(decision.decided_by_id),
            person_label=decision.people,
            plan_hash=decision.plan_hash,
            lapses_at=lapses_at(decision, promotion, case.policy),
            holds_role=decision.is_backed
            if decision.on_behalf_of_id
            else decision.decided_by in holders.get(decision.requirement.role_id, ()),
        )
        for decision in decisions
    }
    votes = votes_of([decision for decision in decisions if now < said[decision.requirement_id].lapses_at])
    return tuple(
        RequirementFacts(
            role=requirement.role_id,
            label=requirement.role.label,
            decision=said.get(requirement.pk),
            may_decide=tuple(
                str(decider)
                for decider in permissions.eligible(
                    deciders.get((promotion.workspace_id, requirement.role_id), ()), requirement, promotion, votes
                )
            ),
        )
        for requirement in requirements
    )


def lapses_at(decision: Decision, promotion: Promotion, policy: TierPolicy) -> datetime:
    """This function will say until when a decision counts: its own time, or less once the promotion is ready."""
    own = decision.decided_at + policy.decision_lasts
    if policy.ready_lasts is None or promotion.ready_at is None:
        return own
    return min(own, promotion.ready_at + policy.ready_lasts)


def _reports(case: Case) -> tuple[ReportFacts, ...]:
    """Return the newest reports of what the release is sealed with, where a clause asks for any (one query, and two
    more where one asks for a scan and there is one).
    """
    if not any(case.policy.clause_of(gate) for gate in REPORTED):
        return ()
    release = case.promotion.release
    found = Evidence.objects.filter(release_id=release.pk, artifact_digest=release.artifact_digest).newest()
    reports = list(found.select_related("environment", "release"))
    accepted = accepted_in(reports) if case.policy.clause_of(Gate.SECURITY_SCAN) else {}
    return tuple(report_facts(report, accepted.get(report.pk, ())) for report in reports)


def accepted_in(reports: Iterable[Evidence]) -> dict[UUID, tuple[AcceptedFacts, ...]]:
    """This function will say what people accepted of the findings in these reports, ever, by the report's id.

    Shapes: the reports come with their releases; an acceptance by who had a part in the release is left out. Two
    queries where a scanner reported, else none.
    """
    scans = {report.pk: report for report in reports if report.is_scan}
    of_services = Acceptance.objects.filter(service_id__in={report.release.service_id for report in scans.values()})
    given: dict[tuple[UUID, str, str], list[Acceptance]] = defaultdict(list)
    for acceptance in of_services.select_related("accepted_by"):
        given[acceptance.service_id, acceptance.rule, acceptance.fingerprint].append(acceptance)
    matching = Finding.objects.filter(evidence_id__in=scans, fingerprint__in=of_services.values("fingerprint"))
    columns = "evidence_id", "rule", "fingerprint", "severity"
    found: dict[UUID, list[AcceptedFacts]] = defaultdict(list)
    for evidence_id, rule, fingerprint, severity, count in (
        matching.order_by().values_list(*columns).annotate(count=Count("pk"))
    ):
        release = scans[evidence_id].release
        for acceptance in given[release.service_id, rule, fingerprint]:
            if release_permissions.counts(acceptance, severity=severity, release=release):
                found[evidence_id].append(_accepted(acceptance, severity, count))
    return {evidence_id: tuple(accepted) for evidence_id, accepted in found.items()}


def _accepted(acceptance: Acceptance, severity: int, count: int) -> AcceptedFacts:
    by, until = str(acceptance.accepted_by), acceptance.lasts_until
    return AcceptedFacts(Severity(severity).word, count, by, acceptance.accepted_at, until)


def report_facts(report: Evidence, accepted: tuple[AcceptedFacts, ...] = ()) -> ReportFacts:
    """This function will put a report, loaded with its environment, into what gates may know of it.

    A signature counts while its key is one of ours.
    """
    figures = report.figures
    if figures.get("signed_by") and figures["signed_by"] not in signatures.known_keys():
        figures = {**figures, "signed_by": ""}
    return ReportFacts(
        kind=report.kind,
        subject=report.suite or report.figures.get("tool", ""),
        label=report.label,
        figures=figures,
        at=report.received_at,
        where=report.environment.name if report.environment else "",
        accepted=accepted,
    )


def _migration(row: DataMigration) -> MigrationFacts:
    return MigrationFacts(row.name, row.migration_class, row.sha256, row.release.version)


def _waivers(case: Case) -> tuple[WaiverFacts, ...]:
    promotion = case.promotion
    held = Membership.objects.current().filter(
        user_id=OuterRef("granted_by_id"), role_id=OuterRef("role_id"), workspace_id=promotion.workspace_id
    )
    found = Waiver.objects.standing().filter(promotion_id=promotion.pk).annotate(holds_role=Exists(held))
    return tuple(
        WaiverFacts(
            gate=waiver.gate,
            role=waiver.role_id,
            by=str(waiver.granted_by),
            reason=waiver.reason,
            plan_hash=waiver.plan_hash,
            until=waiver.expires_at,
            holds_role=waiver.holds_role,
        )
        for waiver in found.select_related("granted_by")
    )


def _lines(case: Case) -> tuple[LineFacts, ...]:
    """Return the lines that people and jobs tick before the start, where a clause asks for any (two queries)."""
    promotion = case.promotion
    if case.policy.clause_of(Gate.CHECKLIST) is None:
        return ()
    ticks = {tick.line_id: tick for tick in ticks_of(promotion).with_backing()}
    lines = ChecklistLine.objects.standing().of_phase(Phase.PRE).filter(promotion_id=promotion.pk, follows="")
    return tuple(
        LineFacts(line.checklist, line.line, str(line.role), _tick(ticks.get(line.pk), case.plan_hash))
        for line in lines.select_related("role")
    )


def _tick(tick: Tick | None, plan_hash: str) -> TickFacts | None:
    """Return a person's tick as of the plan that was shown; a job's counts on any."""
    if tick is None:
        return None
    if tick.evidence_id is not None:
        return TickFacts(tick.people, tick.ticked_at, tick.note, plan_hash, holds_role=True)
    return TickFacts(tick.people, tick.ticked_at, tick.note, tick.plan_hash, holds_role=tick.is_backed)


def _api(case: Case) -> ApiFacts | None:
    """Return what the release promises beside what runs in Production, where a clause asks for it (one query).

    A Production goes by what runs in itself; the tiers before it by the Production of whoever owns the release.
    """
    lane = case.promotion.lane
    is_first = lane.environment.is_production and lane.live_release_id is None
    if is_first or case.policy.clause_of(Gate.API_COMPATIBILITY) is None:
        return None
    live = lane.live_release_id if lane.environment.is_production else None
    found = comparisons.beside(case.promotion.release_id, live)
    return (
        ApiFacts(
            version=found.version,
            order=found.order,
            is_described=bool(found.new_sha256),
            is_version_described=bool(found.old_sha256),
            is_compared=found.is_compared,
            is_whole=found.is_whole,
            breaking=found.breaking,
            undecided=found.undecided,
            compatible=found.compatible,
            breaking_in=found.breaking_in,
            undecided_in=found.undecided_in,
            removed=found.removed,
        )
        if found
        else None
    )


def _events(case: Case) -> EventsFacts:
    """Return what the release publishes beside what runs in Production, where a clause asks for it (one query), which
    is chosen as for APIs; what fits its lower schemas is asked where nothing runs, too.
    """
    if case.policy.clause_of(Gate.EVENT_COMPATIBILITY) is None:
        return EventsFacts()
    lane = case.promotion.lane
    live = (lane.live_release_id or events.NOTHING) if lane.environment.is_production else None
    found = events.beside(case.promotion.release_id, live)
    if found is None:
        return EventsFacts()
    return EventsFacts(
        version=found.version,
        is_listed=found.is_listed,
        is_version_listed=found.is_version_listed,
        events=tuple(
            EventFacts(
                name=str(event),
                old_minor=event.old_minor,
                new_minor=event.new_minor,
                is_dropped=event.is_dropped,
                consumers=event.consumers,
                is_checked=event.is_checked,
                breaking=event.breaking,
                undecided=event.undecided,
                worst=event.worst,
            )
            for event in found.events
        ),
    )


def _baseline(case: Case) -> BaselineFacts | None:
    """Return what runs in Production with its benchmarks, where a clause asks for them (two queries).

    A Production goes by what runs in itself; the tiers before it by the Production of whoever owns the release.
    """
    if case.policy.clause_of(Gate.PERFORMANCE) is None:
        return None
    lane, release = case.promotion.lane, case.promotion.release
    live = lane.live_release if lane.environment.is_production else _live_in_production(lane, release)
    if live is None:
        return None
    found = Evidence.objects.filter(
        release_id=live.pk, artifact_digest=live.artifact_digest, kind=EvidenceKind.BENCHMARK
    ).newest()
    reports = tuple(report_facts(report) for report in found.select_related("environment"))
    return BaselineFacts(live.version, order_of(live), reports)


def _live_in_production(lane: Lane, release: Release) -> Release | None:
    lanes = Lane.objects.standing().filter(
        service_id=lane.service_id,
        workspace_id=release.workspace_id,
        environment__tier=Tier.PRODUCTION,
        live_release__isnull=False,
    )
    newest = lanes.select_related("live_release").order_by("-live_since", "live_release_id").first()
    return newest.live_release if newest else None


def _records(case: Case) -> tuple[RecordFacts, ...]:
    """Return what counts of the environment's backups, where a clause asks for them (one query)."""
    if case.policy.clause_of(Gate.RECOVERY) is None:
        return ()
    found = RecoveryRecord.objects.counting().filter(environment_id=case.promotion.lane.environment_id)
    return tuple(
        RecordFacts(
            kind=record.kind,
            at=record.done_at,
            succeeded=record.succeeded,
            point_in_time=record.point_in_time,
            reach_hours=record.reach_hours,
            kept_daily=record.kept_daily,
            kept_monthly=record.kept_monthly,
            rpo_minutes=record.rpo_minutes,
            rto_minutes=record.rto_minutes,
        )
        for record in found
    )


def _freezes(lane: Lane, now: datetime) -> tuple[FreezeFacts, ...]:
    found = Freeze.objects.over(lane).in_force(now).select_related("frozen_by")
    return tuple(
        FreezeFacts(FreezeScope(freeze.scope).label, freeze.reason, str(freeze.frozen_by), freeze.ends_at)
        for freeze in found
    )


def _hold(lane: Lane) -> HoldFacts | None:
    hold = Hold.objects.open().filter(lane=lane).first()
    return HoldFacts(hold.reason, hold.set_at) if hold else None


def _window(case: Case, now: datetime) -> WindowFacts | None:
    clause = case.policy.clause_of(Gate.WINDOW)
    if clause is None:
        return None
    found = Window.objects.filter(environment_id=case.promotion.lane.environment_id)
    rules = tuple(
        WindowRule(rule.kind, frozenset(rule.weekdays), rule.starts_at, rule.ends_at, rule.zone, rule.label)
        for rule in found
    )
    if not rules:
        return None
    state = window_state(rules, now, lasting=timedelta(minutes=clause.number("lasting_minutes")))
    return WindowFacts(state.is_open, state.sentence, state.next_open)
