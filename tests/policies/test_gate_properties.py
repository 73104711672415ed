"""What holds for all facts, not only for those that somebody thought of."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.policies.clauses import REPORTED, WAIVABLE, Gate
from apps.policies.enums import Outcome
from apps.policies.evidence import SUITES
from apps.policies.facts import (
    AnswerFacts,
    ApiFacts,
    ArtifactFacts,
    BaselineFacts,
    DecisionFacts,
    EmergencyFacts,
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
    RequirementFacts,
    TickFacts,
    TierPassed,
    WaiverFacts,
    WindowFacts,
)
from apps.policies.gates import counts, evaluate, is_hotfix, lets_pass
from tests.policies.documents import REQUIREMENTS, make_policy
from tests.policies.facts import (
    AT,
    BUILDER,
    COMMIT,
    PLAN,
    REPORTS,
    REPOSITORY,
    SOURCE,
    decision,
    make_facts,
    report,
    requirement,
)
from tests.policies.test_requirements import environments

OPTIONAL = (
    "previous_tier",
    "rollback_readiness",
    "recovery",
    "emergency_path",
    "window",
    "environment",
    "checklist",
    "api_compatibility",
    "migrations",
    "event_compatibility",
    *REPORTED,
)
ROLES = ("ENGINEERING_MANAGER", "DEVOPS", "SECURITY")
# What each gate may say at all: a gate that says something else has grown a rule that nobody wrote down.
POSSIBLE = {
    Gate.PREVIOUS_TIER: {Outcome.PASSED, Outcome.FAILED, Outcome.NOT_REQUIRED},
    Gate.ARTIFACT: {Outcome.PASSED, Outcome.FAILED},
    Gate.TESTS: {Outcome.PASSED, Outcome.FAILED, Outcome.WAITING, Outcome.NOT_REQUIRED},
    Gate.COVERAGE: {Outcome.PASSED, Outcome.FAILED, Outcome.WAITING, Outcome.NOT_REQUIRED},
    Gate.SECURITY_SCAN: {Outcome.PASSED, Outcome.FAILED, Outcome.WAITING, Outcome.NOT_REQUIRED},
    Gate.PARTS_LIST: {Outcome.PASSED, Outcome.WAITING, Outcome.NOT_REQUIRED},
    Gate.PROVENANCE: {Outcome.PASSED, Outcome.FAILED, Outcome.WAITING, Outcome.NOT_REQUIRED},
    Gate.PERFORMANCE: {
        Outcome.PASSED, Outcome.FAILED, Outcome.WAITING, Outcome.INCONCLUSIVE, Outcome.NOT_REQUIRED,
    },
    Gate.API_COMPATIBILITY: {
        Outcome.PASSED, Outcome.FAILED, Outcome.WAITING, Outcome.RUNNING, Outcome.INCONCLUSIVE, Outcome.NOT_REQUIRED,
    },
    Gate.MIGRATIONS: {Outcome.PASSED, Outcome.FAILED, Outcome.NOT_REQUIRED},
    Gate.EVENT_COMPATIBILITY: {
        Outcome.PASSED, Outcome.FAILED, Outcome.WAITING, Outcome.RUNNING, Outcome.INCONCLUSIVE, Outcome.NOT_REQUIRED,
    },
    Gate.VERSION_ORDER: {Outcome.PASSED, Outcome.FAILED},
    Gate.QUARANTINE: {Outcome.PASSED, Outcome.FAILED},
    Gate.ROLLBACK_READINESS: {Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_REQUIRED},
    Gate.RECOVERY: {Outcome.PASSED, Outcome.FAILED, Outcome.NOT_REQUIRED},
    Gate.FREEZE: {Outcome.PASSED, Outcome.WAITING},
    Gate.HOLD: {Outcome.PASSED, Outcome.WAITING},
    Gate.EMERGENCY_PATH: {Outcome.PASSED, Outcome.FAILED, Outcome.WAITING, Outcome.RUNNING, Outcome.NOT_REQUIRED},
    Gate.WINDOW: {Outcome.PASSED, Outcome.WAITING, Outcome.NOT_REQUIRED},
    Gate.ENVIRONMENT: {Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_REQUIRED},
    Gate.CHECKLIST: {Outcome.PASSED, Outcome.WAITING, Outcome.NOT_REQUIRED},
    Gate.APPROVALS: {Outcome.PASSED, Outcome.WAITING, Outcome.NOT_REQUIRED},
}  # fmt: skip

ANSWERS = (
    None,
    AnswerFacts("UNKNOWN", "", None),
    AnswerFacts("UNKNOWN", "", None, trouble="away"),
    AnswerFacts("UNKNOWN", "nobody can tell", AT),
    AnswerFacts("MISSING", "gone", AT),
    AnswerFacts("HELD", "there", AT - timedelta(days=1), trouble="away"),
    AnswerFacts("HELD", "there", AT),
)
texts = st.text(max_size=20)
moments = st.integers(-50_000, 50_000).map(lambda minutes: AT + timedelta(minutes=minutes))
digests = st.sampled_from(["sha256:" + letter * 64 for letter in "ab"])
numbers = st.integers(0, 3)
releases = st.builds(
    ReleaseFacts,
    version=texts,
    order=st.tuples(numbers, numbers, numbers, st.sampled_from(["2rc", "~"])),
    state=st.sampled_from(["DRAFT", "SEALED", "QUARANTINED", "RETIRED"]),
    is_prerelease=st.booleans(),
    quarantine_reason=texts,
    commit=st.sampled_from(["", "c0ffee", COMMIT, "decaf00"]),
)
artifacts = st.builds(
    ArtifactFacts,
    digest=digests,
    sealed_digest=digests,
    parts=st.integers(2, 3),
    stored=numbers.map(lambda number: min(number, 2)),
    gone=st.lists(texts, max_size=1).map(tuple),
)
few = st.integers(0, 2)
seconds = st.floats(0, 1e3) | st.just(1)
results = st.dictionaries(
    st.sampled_from("abc"), st.fixed_dictionaries({"seconds": seconds}, optional={"target_seconds": seconds})
)
benchmarks = st.builds(
    report, st.just("BENCHMARK"), st.sampled_from(["pytest-benchmark", "another"]), results=results, failed=few
)
reports = st.one_of(
    st.builds(report, st.just("JUNIT"), st.sampled_from(list(SUITES)), total=few, passed=few, failed=few, skipped=few),
    st.builds(report, st.sampled_from(["COBERTURA", "LCOV"]), lines=st.integers(0, 10), covered=few),
    st.builds(
        report, st.sampled_from(["SARIF", "TRIVY", "ZAP", "DAST"]), texts, critical=few, high=few, medium=few, low=few
    ),
    st.builds(report, st.sampled_from(["CYCLONEDX", "SPDX"]), components=few),
    st.builds(
        report,
        st.just("PROVENANCE"),
        st.sampled_from([BUILDER, "another"]),
        sources=st.lists(st.sampled_from([SOURCE, {"repository": "", "commit": "d" * 40}]), max_size=2),
        has_signature=st.booleans(),
        signed_by=st.sampled_from(["", "0123456789abcdef"]),
    ),
    benchmarks,
)
operations = st.lists(texts, max_size=4).map(tuple)
apis = st.builds(
    ApiFacts,
    version=texts,
    order=st.tuples(numbers, numbers, numbers, st.sampled_from(["2rc", "~"])),
    is_described=st.booleans(),
    is_version_described=st.booleans(),
    is_compared=st.booleans(),
    is_whole=st.booleans(),
    breaking=few,
    undecided=few,
    compatible=few,
    breaking_in=operations,
    undecided_in=operations,
    removed=st.lists(st.tuples(texts, st.none() | moments.map(lambda moment: moment.date())), max_size=3).map(tuple),
)
minors = st.none() | few
events = st.builds(
    EventsFacts,
    version=texts,
    is_listed=st.booleans(),
    is_version_listed=st.booleans(),
    events=st.lists(
        st.builds(
            EventFacts,
            name=texts,
            old_minor=minors,
            new_minor=minors,
            is_dropped=st.booleans(),
            consumers=operations,
            is_checked=st.booleans(),
            breaking=few,
            undecided=few,
            worst=operations,
        ),
        max_size=3,
    ).map(tuple),
)
tiers = st.builds(
    TierPassed,
    tier=texts,
    at=st.none() | moments,
    where=texts,
    promotion=texts,
    soaks_since=st.none() | moments,
    watched_closely=st.booleans(),
)
decisions = st.builds(
    DecisionFacts,
    person=texts,
    person_label=texts,
    plan_hash=st.sampled_from([PLAN, "other"]),
    lapses_at=moments,
    holds_role=st.booleans(),
)
requirements = st.builds(
    RequirementFacts,
    role=st.sampled_from(ROLES),
    label=texts,
    decision=st.none() | decisions,
    may_decide=st.lists(texts, max_size=2).map(tuple),
)
emergencies = st.builds(
    EmergencyFacts,
    incident=texts,
    production=st.none() | releases,
    origin=st.none() | st.sampled_from(list(Origin)),
    commits=st.lists(texts, max_size=2).map(tuple),
)
ticks = st.builds(
    TickFacts,
    by=texts,
    at=moments,
    note=texts,
    plan_hash=st.sampled_from([PLAN, "other"]),
    holds_role=st.booleans(),
)
all_facts = st.builds(
    Facts,
    at=st.just(AT),
    service=texts,
    environment=texts,
    plan_hash=st.just(PLAN),
    release=releases,
    artifact=st.none() | artifacts,
    reports=st.lists(reports, max_size=6, unique_by=lambda each: (each.kind, each.subject)).map(tuple),
    api=st.none() | apis,
    migrations=st.lists(
        st.builds(
            MigrationFacts,
            name=texts,
            migration_class=st.sampled_from(["REVERSIBLE", "FORWARD_COMPATIBLE", "FORWARD_ONLY", "?"]),
            sha256=st.sampled_from(["a" * 64, ""]),
            version=texts,
        ),
        max_size=2,
    ).map(tuple),
    events=events,
    baseline=st.none()
    | st.builds(
        BaselineFacts,
        version=texts,
        order=st.tuples(numbers, numbers, numbers, st.sampled_from(["2rc", "~"])),
        reports=st.lists(benchmarks, max_size=2, unique_by=lambda each: each.subject).map(tuple),
    ),
    repository=st.sampled_from(["", "greeter.git", REPOSITORY, "git@github.com:eaip/other.git"]),
    path=st.lists(tiers, max_size=3).map(tuple),
    live=st.none() | releases,
    fallbacks=st.lists(
        st.builds(
            FallbackFacts,
            release=releases,
            artifact=st.none() | artifacts,
            configuration=texts,
            is_elsewhere=st.booleans(),
            answer=st.sampled_from(ANSWERS),
        ),
        max_size=2,
    ).map(tuple),
    freezes=st.lists(
        st.builds(FreezeFacts, scope=texts, reason=texts, by=texts, ends_at=st.none() | moments), max_size=2
    ).map(tuple),
    records=st.lists(
        st.builds(
            RecordFacts,
            kind=st.sampled_from(["BACKUP", "RESTORE_TEST", "RECOVERY_TEST"]),
            at=moments,
            succeeded=st.booleans(),
            point_in_time=st.booleans(),
            kept_daily=st.none() | st.integers(29, 31),
            rpo_minutes=st.none() | st.integers(59, 61),
        ),
        max_size=3,
        unique_by=lambda record: record.kind,
    ).map(tuple),
    hold=st.none() | st.builds(HoldFacts, reason=texts, since=moments),
    window=st.none()
    | st.builds(WindowFacts, is_open=st.booleans(), sentence=st.just("The window."), next_open=st.none() | moments),
    requirements=st.lists(requirements, max_size=3).map(tuple),
    lines=st.lists(st.builds(LineFacts, st.just("before"), st.just("notes"), texts, st.none() | ticks), max_size=1).map(
        tuple
    ),
    emergency=st.none() | emergencies,
    overdue=st.lists(st.builds(OverdueFacts, what=texts, incident=texts, due_at=moments), max_size=2).map(tuple),
    seen=st.none() | environments,
)
policies = st.builds(
    lambda gates, roles, sunset: make_policy(
        *sorted(gates), roles=tuple(sorted(roles)), sunset=sunset, requirements=REQUIREMENTS
    ),
    st.sets(st.sampled_from(OPTIONAL)),
    st.sets(st.sampled_from(ROLES)),
    st.booleans(),
)


@given(policies, all_facts)
def test_the_same_facts_always_give_the_same_answer(policy, facts):
    assert evaluate(policy, facts) == evaluate(policy, replace(facts))


@given(policies, all_facts)
def test_every_gate_is_judged_once_and_says_only_what_it_may(policy, facts):
    results = evaluate(policy, facts)

    assert [result.name for result in results] == list(Gate)
    for result in results:
        assert result.outcome in POSSIBLE[Gate(result.name)]
        assert result.sentence


@given(policies, all_facts, st.integers(0, 2))
def test_one_more_approval_never_closes_a_gate(policy, facts, index):
    approval = DecisionFacts("somebody", "Somebody", PLAN, AT + timedelta(days=1), holds_role=True)
    more = tuple(
        replace(requirement, decision=approval) if at == index else requirement
        for at, requirement in enumerate(facts.requirements)
    )

    before, after = evaluate(policy, facts), evaluate(policy, replace(facts, requirements=more))

    for then, now in zip(before, after, strict=True):
        assert now.outcome.lets_pass or not then.outcome.lets_pass
        assert then.name == Gate.APPROVALS or then == now


@given(policies, all_facts)
def test_reports_that_are_all_well_open_their_gates_and_no_other(policy, facts):
    well = (*REPORTS, report("JUNIT", "END_TO_END", total=1, passed=1))
    # Of no commit in particular, and with nothing before it: what else a report must say hangs on these.
    facts = replace(facts, release=replace(facts.release, commit="c0ffee"), repository="", baseline=None)

    before, after = evaluate(policy, facts), evaluate(policy, replace(facts, reports=well))

    for then, now in zip(before, after, strict=True):
        assert now.outcome.lets_pass if then.name in REPORTED else then == now


@given(
    policies,
    all_facts,
    st.sampled_from(["CYCLONEDX", "SPDX", "SARIF", "TRIVY", "ZAP", "DAST", "JUNIT", "LCOV", "PROVENANCE", "BENCHMARK"]),
)
def test_one_more_report_that_is_well_never_closes_a_gate(policy, facts, kind):
    known = {(each.kind, each.subject) for each in facts.reports}
    well = {"JUNIT": {"total": 1, "passed": 1}, "LCOV": {"lines": 10, "covered": 10},
            "PROVENANCE": {"sources": [SOURCE]},
            "BENCHMARK": {"results": {"new": {"seconds": 1, "target_seconds": 1}}}}  # fmt: skip
    figures = well.get(kind, {})
    new = report(kind, "END_TO_END" if kind == "JUNIT" else "another", **figures)
    more = facts.reports if (new.kind, new.subject) in known else (*facts.reports, new)

    before, after = evaluate(policy, facts), evaluate(policy, replace(facts, reports=more))

    for then, now in zip(before, after, strict=True):
        assert now.outcome.lets_pass or not then.outcome.lets_pass


@given(policies, all_facts, st.sets(st.sampled_from(list(Gate))))
def test_a_waiver_opens_only_gates_that_can_be_waived_and_changes_no_other(policy, facts, gates):
    """Whatever somebody wrote down as waived: the clauses of these policies name a role for some of the gates."""
    named = replace(
        policy,
        clauses=tuple(
            replace(clause, settings={**clause.settings, "waived_by": "DEVOPS"}) for clause in policy.clauses
        ),
    )
    waivers = tuple(
        WaiverFacts(gate, "DEVOPS", "Somebody", "Why", PLAN, AT + timedelta(hours=1), holds_role=True) for gate in gates
    )

    before, after = evaluate(named, facts), evaluate(named, replace(facts, waivers=waivers))

    for then, now in zip(before, after, strict=True):
        is_waived = then.name in gates and then.name in WAIVABLE and not then.outcome.lets_pass
        assert now.outcome == (Outcome.WAIVED if is_waived else then.outcome)
        assert now == then or is_waived


@given(policies, all_facts)
def test_a_comparison_without_a_break_opens_its_gate_and_no_other(policy, facts):
    api = facts.api or ApiFacts("1.0.0", (1, 0, 0, "~"))
    well = replace(api, is_described=True, is_version_described=True, is_compared=True, is_whole=True)
    well = replace(well, breaking=0, undecided=0, removed=())

    before, after = evaluate(policy, facts), evaluate(policy, replace(facts, api=well))

    for then, now in zip(before, after, strict=True):
        assert now.outcome.lets_pass if then.name == Gate.API_COMPATIBILITY else then == now


@given(policies, all_facts)
def test_a_break_is_never_passed_by_a_patch_or_minor_release(policy, facts):
    api = ApiFacts("1.0.0", (1, 0, 0, "~"), is_described=True, is_version_described=True, is_compared=True, breaking=1)
    minor = replace(facts, api=api, release=replace(facts.release, order=(1, 1, 0, "~")))
    asked = policy.clause_of(Gate.API_COMPATIBILITY) is not None

    (result,) = (each for each in evaluate(policy, minor) if each.name == Gate.API_COMPATIBILITY)

    assert result.outcome == (Outcome.FAILED if asked else Outcome.NOT_REQUIRED)


@given(policies, all_facts)
def test_what_has_consumers_is_never_left_out_unless_it_was_dropped(policy, facts):
    left_out = EventFacts("orders.placed 1", old_minor=0, consumers=("Billing",))
    without = replace(facts, events=replace(facts.events, is_listed=True, events=(*facts.events.events, left_out)))

    assert policy.clause_of(Gate.EVENT_COMPATIBILITY) is None or not lets_pass(evaluate(policy, without))


@given(policies, all_facts)
def test_nothing_passes_without_every_requirement_met_on_this_plan(policy, facts):
    if lets_pass(evaluate(policy, facts)):
        assert all(counts(requirement, facts) for requirement in facts.requirements)


# The lines of a checklist are ticked one by one; what stands there passes nothing by itself.
@given(st.sets(st.sampled_from([*{*OPTIONAL} - {"checklist"}])), st.sets(st.sampled_from(ROLES), min_size=1), st.data())
def test_what_passes_everything_passes_nothing_once_one_approval_is_missing(gates, roles, data):
    policy = make_policy(*sorted(gates), roles=tuple(sorted(roles)))
    met = tuple(requirement(role, decision(role)) for role in sorted(roles))
    assert lets_pass(evaluate(policy, make_facts(requirements=met)))
    index = data.draw(st.integers(0, len(met) - 1))
    lacking = data.draw(
        st.sampled_from([None, decision(plan_hash="other"), decision(holds_role=False), decision(lapses_at=AT)])
    )

    for rest in ((), (replace(met[index], decision=lacking),)):
        some = make_facts(requirements=(*met[:index], *rest, *met[index + 1 :]))

        assert not lets_pass(evaluate(policy, some))


@given(policies, all_facts, st.data())
def test_no_gate_goes_by_the_order_in_which_facts_were_found(policy, facts, data):
    many = ("reports", "freezes", "requirements")
    shuffled = replace(facts, **{name: tuple(data.draw(st.permutations(getattr(facts, name)))) for name in many})

    before, after = evaluate(policy, facts), evaluate(policy, shuffled)

    assert [result.outcome for result in before] == [result.outcome for result in after]


@given(policies, all_facts)
def test_what_is_lifted_and_what_opens_closes_no_gate(policy, facts):
    window = facts.window and replace(facts.window, is_open=True)

    before = evaluate(policy, facts)
    after = evaluate(policy, replace(facts, freezes=(), hold=None, window=window))

    for then, now in zip(before, after, strict=True):
        assert now.outcome.lets_pass or not then.outcome.lets_pass
        assert then.name in {Gate.FREEZE, Gate.HOLD, Gate.WINDOW} or then == now


@given(policies, all_facts)
def test_nothing_passes_without_every_line_ticked_on_this_plan(policy, facts):
    if policy.clause_of(Gate.CHECKLIST) and lets_pass(evaluate(policy, facts)):
        assert any(line.tick and line.tick.plan_hash == PLAN and line.tick.holds_role for line in facts.lines)


@given(policies, all_facts)
def test_one_more_tick_never_closes_a_gate(policy, facts):
    tick = TickFacts("Somebody", AT, "", PLAN, holds_role=True)

    before = evaluate(policy, facts)
    after = evaluate(policy, replace(facts, lines=(LineFacts("before", "notes", "Release engineer", tick),)))

    for then, now in zip(before, after, strict=True):
        assert now.outcome.lets_pass or not then.outcome.lets_pass
        assert then.name == Gate.CHECKLIST or then == now


@given(policies, all_facts)
def test_a_freeze_stops_everything_but_an_emergency_whatever_else_is_true(policy, facts):
    frozen = replace(facts, freezes=(FreezeFacts("All", "reason", "Somebody"),), emergency=None)

    assert not lets_pass(evaluate(policy, frozen))


@given(policies, all_facts, emergencies)
def test_a_hotfix_that_was_cut_elsewhere_never_passes_where_a_policy_asks(policy, facts, emergency):
    elsewhere = replace(facts, emergency=replace(emergency, origin=Origin.ELSEWHERE))

    assert not policy.clause_of(Gate.EMERGENCY_PATH) or not lets_pass(evaluate(policy, elsewhere))


@given(policies, all_facts, releases)
def test_an_emergency_opens_freeze_and_window_alone_and_asks_for_a_patch(policy, facts, production):
    emergency = EmergencyFacts("#3", production)

    ordinary = evaluate(policy, replace(facts, emergency=None))
    hurried = evaluate(policy, replace(facts, emergency=emergency))

    for then, now in zip(ordinary, hurried, strict=True):
        if now.name in (Gate.FREEZE, Gate.WINDOW):
            assert now.outcome.lets_pass
        elif now.name == Gate.EMERGENCY_PATH:
            assert now.outcome == Outcome.NOT_REQUIRED
        elif now.name == Gate.VERSION_ORDER and not is_hotfix(facts.release, production):
            assert now.outcome == Outcome.FAILED
        else:
            assert then == now
