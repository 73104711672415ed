from dataclasses import replace
from datetime import timedelta

import pytest

from apps.policies.clauses import REPORTED, Gate
from apps.policies.documents import parse
from apps.policies.enums import Outcome
from apps.policies.facts import (
    AcceptedFacts,
    AnswerFacts,
    ArtifactFacts,
    EmergencyFacts,
    FallbackFacts,
    FreezeFacts,
    HoldFacts,
    Origin,
    OverdueFacts,
    ReleaseFacts,
    TierPassed,
    WaiverFacts,
    WindowFacts,
)
from apps.policies.gates import evaluate, lets_pass
from tests.policies.documents import clause, make_document, make_policy
from tests.policies.facts import (
    AT,
    BEFORE,
    BUILDER,
    DIGEST,
    FALLBACK,
    FORWARD_ONLY,
    LIVE,
    MIGRATION,
    NEW,
    PATH,
    PLAN,
    RECORDS,
    REPORTS,
    WHOLE,
    decision,
    make_facts,
    report,
    requirement,
)

ASKED = ("previous_tier", "rollback_readiness", "recovery", "window", *REPORTED, "migrations", "emergency_path")
POLICY = make_policy(*ASKED, roles=("DEVOPS",))
BARE = make_policy()
STAGING_MISSING = (*PATH[:2], TierPassed("Staging"))
PRERELEASE = ReleaseFacts("1.1.0-rc.1", (1, 1, 0, "2rc!1011"), "SEALED", is_prerelease=True)
HALF = ArtifactFacts(DIGEST, DIGEST, parts=3, stored=1)
FREEZE = FreezeFacts("One environment", "audit week", "DevOps", AT + timedelta(hours=2))
EMERGENCY = EmergencyFacts("#3", LIVE)
PATCH = ReleaseFacts("1.0.1", (1, 0, 1, "~"), "SEALED")
CLOSED = WindowFacts(is_open=False, sentence="The window is closed.", next_open=AT + timedelta(days=1))


def judge(gate, policy=POLICY, **fields):
    return next(result for result in evaluate(policy, make_facts(**fields)) if result.name == gate)


def recorded(number: int, **changes):
    """Return the records with one of them changed."""
    rows = [replace(row, **changes) if place == number else row for place, row in enumerate(RECORDS)]
    return {"records": tuple(rows)}


def hotfix(origin: Origin | None) -> dict[str, EmergencyFacts]:
    return {"emergency": EmergencyFacts("#3", LIVE, origin, ("a" * 40, "b" * 40))}


def fallback(**fields):
    return (replace(FALLBACK, **fields),)


def elsewhere(release=LIVE, **changes):
    """Return a release that is taken from a registry, which said ten minutes ago that it has it."""
    said = AnswerFacts("HELD", "r.example has it.", AT - timedelta(minutes=10), "worker-1", AT - timedelta(minutes=10))
    # The store of this installation has none of it, and is not asked.
    nowhere = replace(HALF, stored=0)
    return (FallbackFacts(release, nowhere, "version 2", is_elsewhere=True, answer=replace(said, **changes)),)


def reported(*reports):
    return {"reports": reports}


PASSING = report("JUNIT", "UNIT", total=1, passed=1)
TABLE = [
    ("previous_tier", {}, Outcome.PASSED, "Succeeded in Staging (Staging) before."),
    ("previous_tier", {"path": ()}, Outcome.NOT_REQUIRED, "no tier comes before it"),
    ("previous_tier", {"path": STAGING_MISSING}, Outcome.FAILED, "has not succeeded in Staging yet. Missing: Staging."),
    (
        "previous_tier",
        {"path": (PATH[0], TierPassed("QA"), TierPassed("Staging"))},
        Outcome.FAILED,
        "Missing: QA and Staging.",
    ),
    ("previous_tier", {"path": (TierPassed("Dev"), *PATH[1:])}, Outcome.PASSED, "Succeeded in Staging"),
    ("migrations", {}, Outcome.NOT_REQUIRED, "1.1.0 migrates no data in Production."),
    (
        "migrations",
        {"migrations": (MIGRATION, FORWARD_ONLY)},
        Outcome.PASSED,
        "2 data migrations (1 reversible and 1 forward-only), each with its checksum and a written way back; tried",
    ),
    (
        "migrations",
        {"migrations": (MIGRATION,), "path": STAGING_MISSING},
        Outcome.FAILED,
        "no deployment of 1.1.0 that ran them has succeeded in Staging yet.",
    ),
    (
        "migrations",
        {"migrations": (replace(MIGRATION, migration_class="?"),)},
        Outcome.FAILED,
        "0042 has no known class or no checksum.",
    ),
    (
        "rollback_readiness",
        {"migrations": (MIGRATION, FORWARD_ONLY)},
        Outcome.PASSED,
        "Only a person can go back, after restoring the data: 0043 is forward-only.",
    ),
    ("rollback_readiness", {"migrations": (MIGRATION,)}, Outcome.PASSED, "has to run the rollback of 0042."),
    ("artifact", {}, Outcome.PASSED, "3 of 3 files are in the store."),
    ("artifact", {"artifact": None}, Outcome.FAILED, "The release has no artifact."),
    (
        "artifact",
        {"artifact": replace(WHOLE, digest="sha256:" + "b" * 64)},
        Outcome.FAILED,
        "was sealed with sha256:aaa",
    ),
    ("artifact", {"artifact": HALF}, Outcome.PASSED, "1 of 3 files are in the store, the rest is fetched"),
    ("artifact", {"artifact": replace(HALF, gone=("g.whl",))}, Outcome.FAILED, "no longer holds g.whl"),
    (
        "tests",
        {},
        Outcome.PASSED,
        "Unit tests: 120 of 120 passed; integration tests: 12 of 14 passed, 2 skipped. Asked: all unit tests and "
        "integration tests pass.",
    ),
    ("tests", reported(), Outcome.WAITING, "There is no report of unit tests and integration tests yet. Asked: all"),
    ("tests", reported(PASSING), Outcome.WAITING, "There is no report of integration tests yet."),
    ("tests", reported(report("JUNIT", "UNIT", total=2, passed=1, failed=1)), Outcome.FAILED, "Unit tests: 1 of 2"),
    ("tests", reported(report("JUNIT", "UNIT", total=2, skipped=2)), Outcome.FAILED, "Unit tests: 0 of 2 passed, 2"),
    (
        "tests",
        reported(*REPORTS[:2], report("JUNIT", "END_TO_END", total=1, failed=1)),
        Outcome.PASSED,
        "Unit tests: 120 of 120 passed",  # the policy asks for no end-to-end tests
    ),
    ("coverage", {}, Outcome.PASSED, "70 % of 1,000 lines were run. Asked: at least 70 %."),
    ("coverage", reported(), Outcome.WAITING, "There is no report of coverage yet. Asked: at least 70 %."),
    ("coverage", reported(report("LCOV", lines=10_000, covered=6_999)), Outcome.FAILED, "69.9 % of 10,000 lines"),
    (
        "coverage",
        reported(report("LCOV", lines=100, covered=20), report("COBERTURA", lines=900, covered=690)),
        Outcome.PASSED,
        "71 % of 1,000 lines",
    ),
    ("security_scan", {}, Outcome.PASSED, "0 critical, 0 high, 2 medium, 5 low, by semgrep. Asked: no finding above m"),
    ("security_scan", reported(), Outcome.WAITING, "There is no report of a security scan yet."),
    (
        "security_scan",
        reported(report("SARIF", "semgrep", high=1), report("SARIF", "", low=1)),
        Outcome.FAILED,
        "0 critical, 1 high, 0 medium, 1 low, by semgrep and a scanner.",
    ),
    ("security_scan", reported(report("SARIF", "trivy", critical=1)), Outcome.FAILED, "1 critical, 0 high"),
    ("parts_list", {}, Outcome.PASSED, "214 components are listed."),
    ("parts_list", reported(), Outcome.WAITING, "There is no list of what the release is made of yet."),
    ("parts_list", reported(report("SPDX", components=3)), Outcome.PASSED, "3 components are listed."),
    ("security_scan", reported(report("ZAP", "ZAP", high=2)), Outcome.FAILED, "2 high, 0 medium, 0 low, by ZAP."),
    ("security_scan", reported(report("DAST", "nuclei", high=1)), Outcome.FAILED, "1 high, 0 medium, 0 low, by nuclei"),
    ("provenance", {}, Outcome.PASSED, f"Built by {BUILDER}, from commit c0ffee, signature verified (key 0123"),
    ("provenance", reported(), Outcome.WAITING, "There is no provenance of the artifact yet. Asked: built by anybody"),
    ("performance", {}, Outcome.PASSED, "1 of 2 benchmarks were compared, the slowest beside that is parse: +15.0 %."),
    (
        "performance",
        reported(),
        Outcome.WAITING,
        "no report of benchmarks yet. Asked: none is slower by more than 20 %",
    ),
    ("version_order", {}, Outcome.PASSED, "1.1.0 is higher than 1.0.0, which runs there."),
    ("version_order", {"live": None}, Outcome.PASSED, "1.1.0 is the first"),
    ("version_order", {"release": LIVE}, Outcome.PASSED, "runs there already"),
    ("version_order", {"release": BEFORE}, Outcome.FAILED, "0.9.0 is lower than 1.0.0, which runs there."),
    ("version_order", {"release": PRERELEASE}, Outcome.PASSED, "1.1.0-rc.1 is higher"),
    ("version_order", {"release": PRERELEASE, "live": NEW}, Outcome.FAILED, "1.1.0-rc.1 is lower than 1.1.0"),
    ("quarantine", {}, Outcome.PASSED, "sealed and not in quarantine"),
    (
        "quarantine",
        {"release": replace(NEW, state="QUARANTINED", quarantine_reason="leaks")},
        Outcome.FAILED,
        "1.1.0 is in quarantine: “leaks”.",
    ),
    ("quarantine", {"release": replace(NEW, state="QUARANTINED")}, Outcome.FAILED, "no reason was given"),
    ("quarantine", {"release": replace(NEW, state="RETIRED")}, Outcome.FAILED, "1.1.0 is retired"),
    ("quarantine", {"release": replace(NEW, state="DRAFT")}, Outcome.FAILED, "1.1.0 is not sealed yet."),
    ("rollback_readiness", {}, Outcome.PASSED, "1.0.0 can run again: artifact and configuration are there. Limit: 15"),
    ("rollback_readiness", {"fallbacks": ()}, Outcome.NOT_REQUIRED, "Nothing runs in Production yet"),
    (
        "rollback_readiness",
        {"fallbacks": fallback(artifact=HALF)},
        Outcome.FAILED,
        "There is no way back: 1.0.0, which runs there, is not whole in the artifact store (1 of 3 files).",
    ),
    ("rollback_readiness", {"fallbacks": fallback(artifact=None)}, Outcome.FAILED, "has no artifact"),
    ("rollback_readiness", {"fallbacks": fallback(configuration="")}, Outcome.FAILED, "has no configuration"),
    ("rollback_readiness", {"fallbacks": elsewhere()}, Outcome.PASSED, "1.0.0 can run again: artifact and"),
    (
        "rollback_readiness",
        {"fallbacks": elsewhere(answer="MISSING", detail="r.example/a@sha256:1 is gone.")},
        Outcome.FAILED,
        "1.0.0, which runs there, was not to be had at 2026-11-18 18:50 UTC: r.example/a@sha256:1 is gone.",
    ),
    (
        "rollback_readiness",
        {"fallbacks": (*elsewhere(answer="MISSING"), *elsewhere(BEFORE))},
        Outcome.PASSED,
        "0.9.0 can run again",
    ),
    (
        "rollback_readiness",
        {"fallbacks": elsewhere(answer="UNKNOWN", detail="No images are named.")},
        Outcome.PASSED,
        "1.0.0 can run again: it can't be asked for: No images are named. The policy of Production lets that pass.",
    ),
    (
        "rollback_readiness",
        {"fallbacks": elsewhere(at=AT - timedelta(hours=3), trouble="r.example does not answer.")},
        Outcome.PASSED,
        "it was there at 2026-11-18 16:00 UTC, which is over 120 min ago; since then: r.example does not answer. The",
    ),
    (
        "rollback_readiness",
        {"fallbacks": elsewhere(at=None, answer="UNKNOWN", trouble="r.example does not answer.")},
        Outcome.PASSED,
        "it could not be asked for: r.example does not answer.",
    ),
    (
        "rollback_readiness",
        {"fallbacks": fallback(is_elsewhere=True)},
        Outcome.PASSED,
        "it was not asked for yet where it is taken from.",
    ),
    (
        "rollback_readiness",
        {"fallbacks": fallback(is_elsewhere=True, artifact=replace(WHOLE, digest="sha256:" + "b" * 64))},
        Outcome.FAILED,
        "is not what was sealed",
    ),
    (
        "rollback_readiness",
        {"fallbacks": fallback(release=replace(LIVE, state="QUARANTINED"))},
        Outcome.FAILED,
        "is quarantined",
    ),
    (
        "rollback_readiness",
        {
            "fallbacks": (
                replace(FALLBACK, release=replace(LIVE, state="QUARANTINED")),
                FallbackFacts(BEFORE, WHOLE, "version 2"),
            )
        },
        Outcome.PASSED,
        "0.9.0 can run again",
    ),
    ("recovery", {}, Outcome.PASSED, "Production could be brought back, by its records."),
    (
        "recovery",
        {"records": ()},
        Outcome.FAILED,
        "Backup: none recorded; asked: 26 h old at most. Record a backup that succeeded. Point-in-time recovery: not "
        "recorded; asked: on. Switch it on and record the backup that follows. Daily backups: not recorded; asked: 30",
    ),
    (
        "recovery",
        recorded(0, at=AT - timedelta(hours=26, minutes=1)),
        Outcome.FAILED,
        "Backup: the newest is of 2026-11-17 16:59 UTC, which is too old; asked: 26 h old at most.",
    ),
    ("recovery", recorded(0, point_in_time=False), Outcome.FAILED, "Point-in-time recovery: off; asked: on."),
    ("recovery", recorded(0, kept_daily=29), Outcome.FAILED, "Daily backups: 29 kept; asked: 30 kept."),
    ("recovery", recorded(0, kept_monthly=0), Outcome.FAILED, "Monthly backups: 0 kept; asked: 12 kept."),
    ("recovery", recorded(1, at=AT - timedelta(days=93)), Outcome.FAILED, "Restore test: the newest is of 2026-08-17"),
    (
        "recovery",
        recorded(2, succeeded=False, rpo_minutes=None, rto_minutes=None),
        Outcome.FAILED,
        "Disaster recovery test: failed on 2026-08-18 19:01 UTC; asked: succeeded, 92 days old at most.",
    ),
    ("recovery", recorded(2, rto_minutes=241), Outcome.FAILED, "RTO: 241 min; asked: 240 min at most. Make it shorter"),
    ("recovery", recorded(1, rto_minutes=241), Outcome.PASSED, "could be brought back"),  # the newer one measures
    ("recovery", {"records": RECORDS[:1]}, Outcome.FAILED, "RPO: not measured; asked: 60 min at most."),
    ("freeze", {}, Outcome.PASSED, "Nothing is frozen here."),
    (
        "freeze",
        {"freezes": (FREEZE,)},
        Outcome.WAITING,
        "Frozen by DevOps (One environment): “audit week”. Ends at 2026-11-18 21:00 UTC.",
    ),
    ("freeze", {"freezes": (FREEZE, replace(FREEZE, ends_at=None))}, Outcome.WAITING, "It has no end"),
    ("emergency_path", {}, Outcome.NOT_REQUIRED, "No emergency, and nothing is overdue after one of Greeter."),
    (
        "emergency_path",
        {"overdue": (OverdueFacts("Post-mortem", "#3", AT), OverdueFacts("Hotfix merged back", "#3", AT))},
        Outcome.WAITING,
        "Overdue after an emergency of Greeter: Post-mortem and Hotfix merged back. Only another emergency goes on",
    ),
    ("emergency_path", hotfix(Origin.PRODUCTION), Outcome.PASSED, "1.1.0 was cut from 1.0.0, which Production runs."),
    ("emergency_path", hotfix(Origin.ELSEWHERE), Outcome.FAILED, "1.1.0 was not cut from 1.0.0"),
    ("emergency_path", hotfix(None), Outcome.RUNNING, "The repository is being asked whether 1.1.0 was cut from 1.0.0"),
    ("emergency_path", hotfix(Origin.UNTOLD), Outcome.NOT_REQUIRED, "No repository that the portal holds can tell"),
    ("hold", {}, Outcome.PASSED, "No hold on this lane."),
    ("hold", {"hold": HoldFacts("rolled back", AT)}, Outcome.WAITING, "since 2026-11-18 19:00 UTC: “rolled back”."),
    (
        "freeze",
        {"freezes": (FREEZE,), "emergency": EMERGENCY},
        Outcome.PASSED,
        "Passed because of incident #3, although frozen by DevOps (One environment): “audit week”.",
    ),
    ("freeze", {"emergency": EMERGENCY}, Outcome.PASSED, "Nothing is frozen here."),
    ("window", {"window": CLOSED, "emergency": EMERGENCY}, Outcome.PASSED, "incident #3. The window is closed."),
    ("version_order", {"release": PATCH, "emergency": EMERGENCY}, Outcome.PASSED, "1.0.1 is higher than 1.0.0"),
    ("version_order", {"emergency": EMERGENCY}, Outcome.FAILED, "a patch of what Production runs, 1.0.0; 1.1.0 is"),
    ("version_order", {"release": PATCH, "emergency": EmergencyFacts("#3")}, Outcome.FAILED, "runs, nothing; 1.0.1"),
    ("window", {}, Outcome.PASSED, "The window is open."),
    ("window", {"window": None}, Outcome.NOT_REQUIRED, "any time will do"),
    ("window", {"window": CLOSED}, Outcome.WAITING, "The window is closed."),
    ("approvals", {}, Outcome.PASSED, "1 of 1 approvals given."),
    ("approvals", {"requirements": ()}, Outcome.WAITING, "0 of 1 approvals given. Waiting for DEVOPS."),
    ("approvals", {"requirements": (requirement("SECURITY", decision()),)}, Outcome.WAITING, "1 of 2 approvals given."),
    ("approvals", {"requirements": (requirement(),)}, Outcome.WAITING, "0 of 1 approvals given. Waiting for Devops."),
    (
        "approvals",
        {"requirements": (requirement(may_decide=()),)},
        Outcome.WAITING,
        "Nobody can decide as Devops now: give somebody the role.",
    ),
    (
        "approvals",
        {"requirements": (requirement(said=decision()), requirement("SECURITY"), requirement("CAB"))},
        Outcome.WAITING,
        "1 of 3 approvals given. Waiting for Security and Cab.",
    ),
    (
        "approvals",
        {"requirements": (requirement(said=decision(plan_hash="other")),)},
        Outcome.WAITING,
        "0 of 1 approvals given.",
    ),
    ("approvals", {"requirements": (requirement(said=decision(holds_role=False)),)}, Outcome.WAITING, "0 of 1"),
    ("approvals", {"requirements": (requirement(said=decision(lapses_at=AT)),)}, Outcome.WAITING, "0 of 1"),
]


@pytest.mark.parametrize(("gate", "fields", "outcome", "words"), TABLE)
def test_gate(gate, fields, outcome, words):
    result = judge(gate, **fields)

    assert result.outcome == outcome
    assert words in result.sentence


def test_everything_passes_in_the_facts_that_the_table_changes():
    assert lets_pass(evaluate(POLICY, make_facts()))


@pytest.mark.parametrize(
    "gate",
    [
        "previous_tier",
        "rollback_readiness",
        "emergency_path",
        "window",
        "approvals",
        "api_compatibility",
        "event_compatibility",
        *REPORTED,
    ],
)
def test_what_the_policy_does_not_ask_for_is_not_needed_and_says_so(gate):
    result = judge(gate, BARE, path=STAGING_MISSING, fallbacks=fallback(artifact=None), window=CLOSED, requirements=())

    assert result.outcome == Outcome.NOT_REQUIRED
    assert result.sentence.startswith("The policy of Production does not ask")


@pytest.mark.parametrize(
    ("gate", "fields"),
    [
        ("artifact", {"artifact": None}),
        ("version_order", {"release": BEFORE}),
        ("quarantine", {"release": replace(NEW, state="QUARANTINED")}),
        ("freeze", {"freezes": (FREEZE,)}),
        ("hold", {"hold": HoldFacts("rolled back", AT)}),
    ],
)
def test_no_policy_can_leave_these_out(gate, fields):
    assert not judge(gate, BARE, **fields).outcome.lets_pass


def test_a_tier_may_take_no_pre_releases():
    rows = make_document()["clauses"]
    rows[1] = clause(2, "version_order", settings={"prereleases": False})
    strict = make_policy(clauses=rows)

    assert (
        judge("version_order", strict, release=PRERELEASE).sentence
        == "1.1.0-rc.1 is a pre-release; Production takes none."
    )
    assert judge("version_order", strict).outcome == Outcome.PASSED


def soaking(minutes_ago, **fields):
    last = replace(PATH[-1], soaks_since=AT - timedelta(minutes=minutes_ago), **fields)
    return {"path": (*PATH[:2], last)}


SOAK = {"soak_minutes": 30}
LONGER = "longer because its lane was watched closely"
SOAKS = [
    (SOAK, soaking(30), Outcome.PASSED, "Soaked in Staging (Staging): 30 min of soak."),
    (SOAK, soaking(29), Outcome.WAITING, "Soaks in Staging (Staging) until 2026-11-18 19:01 UTC: 30 min of soak."),
    (SOAK, soaking(30, watched_closely=True), Outcome.WAITING, f"19:30 UTC: 60 min of soak, {LONGER}."),
    (SOAK, soaking(60, watched_closely=True), Outcome.PASSED, f"60 min of soak, {LONGER}."),
    (
        {**SOAK, "close_watch_soak_percent": 300},
        soaking(60, watched_closely=True),
        Outcome.WAITING,
        "until 2026-11-18 19:30 UTC: 90 min of soak",
    ),
    (SOAK, {}, Outcome.WAITING, "1.1.0 does not soak in Staging (Staging) while something is wrong there"),
    ({}, soaking(0, watched_closely=True), Outcome.PASSED, "Succeeded in Staging (Staging) before."),
]


@pytest.mark.parametrize(("settings", "fields", "outcome", "words"), SOAKS)
def test_a_tier_may_ask_for_soak_in_the_one_before(settings, fields, outcome, words):
    rows = [*make_document()["clauses"], clause(6, "previous_tier", settings=settings)]
    result = judge("previous_tier", make_policy(clauses=rows), **fields)

    assert result.outcome == outcome
    assert words in result.sentence
    assert outcome.lets_pass or result.who or result.next_open > AT


def test_a_window_tells_when_it_opens():
    assert judge("window", window=CLOSED).next_open == AT + timedelta(days=1)


def test_a_freeze_with_an_end_tells_it():
    later = replace(FREEZE, ends_at=AT + timedelta(hours=5))

    assert judge("freeze", freezes=(FREEZE, later)).next_open == AT + timedelta(hours=5)


def test_results_name_the_clause_and_come_in_the_order_of_the_gates():
    results = evaluate(POLICY, make_facts())

    assert [result.name for result in results] == list(Gate)
    assert {result.name: result.clause for result in results}["approvals"] == "PROD-18"


@pytest.mark.parametrize(
    ("tolerated", "passes", "words"),
    [
        ("none", False, "Asked: no finding."),
        ("low", False, "Asked: no finding above low."),
        ("medium", True, "Asked: no finding above medium."),
    ],
)
def test_a_policy_says_how_bad_a_finding_may_be(tolerated, passes, words):
    rows = [*make_document()["clauses"], clause(6, "security_scan", settings={"tolerated": tolerated})]
    result = judge("security_scan", make_policy(clauses=rows))

    assert (result.outcome == Outcome.PASSED) is passes
    assert words in result.sentence


def accepted(days, *, severity="high", count=1, by="Security", since=AT - timedelta(days=10)):
    return AcceptedFacts(severity, count, by, since, since + timedelta(days=days))


MANY = (
    *[accepted(20 + day, by=f"P{day}") for day in range(2)],
    *[accepted(50 + day, severity="low", count=2, by=f"P{day}") for day in range(2, 5)],
)


@pytest.mark.parametrize(
    ("given", "settings", "passes", "words"),
    [
        ((accepted(30, count=2),), {}, True, "Not counted: 2 accepted by Security until 2026-12-08 19:00 UTC."),
        ((accepted(30),), {}, False, "0 critical, 1 high, 0 medium"),
        ((accepted(10, count=2),), {}, False, "0 critical, 2 high"),
        ((accepted(30, count=2, since=AT + timedelta(minutes=1)),), {}, False, "2 high"),
        ((accepted(30, count=2),), {"accepted_days": 10}, False, "2 high"),
        ((accepted(30, count=2),), {"accepted_days": 11}, True, "until 2026-11-19 19:00 UTC."),
        ((accepted(365, count=2, since=AT - timedelta(days=90)),), {}, False, "2 high"),
        (
            (accepted(30), accepted(20, by="Dev"), accepted(30, severity="low", count=3)),
            {},
            True,
            "Not counted: 1 accepted by Dev until 2026-11-28 19:00 UTC and 4 accepted by Security until 2026-12-08",
        ),
        (MANY, {}, True, "2 accepted by P2 until 2026-12-30 19:00 UTC and 4 more."),
        ((accepted(30), accepted(20)), {}, True, "2 accepted by Security, the first until 2026-11-28 19:00 UTC."),
    ],
)
def test_accepted_findings_do_not_count_while_that_lasts(given, settings, passes, words):
    scan = replace(report("SARIF", "semgrep", high=2, low=9), accepted=given)
    rule = clause(6, "security_scan", settings={"tolerated": "medium", **settings})

    result = judge("security_scan", make_policy(clauses=[*make_document()["clauses"], rule]), reports=(scan,))

    assert (result.outcome == Outcome.PASSED) is passes
    assert words in result.sentence


SAST, TRIED = report("SARIF", "semgrep", low=9), report("DAST", "nuclei")


@pytest.mark.parametrize(
    ("dynamic", "reports", "outcome", "words"),
    [
        (True, (SAST,), Outcome.WAITING, "There is no report of a dynamic scan (DAST) yet. 0 critical"),
        (True, (), Outcome.WAITING, "There is no report of a security scan yet."),
        (True, (report("SARIF", "semgrep", high=1),), Outcome.FAILED, "0 critical, 1 high"),
        (True, (SAST, TRIED), Outcome.PASSED, "0 critical, 0 high, 0 medium, 9 low, by semgrep and nuclei."),
        (True, (report("ZAP", "ZAP"),), Outcome.PASSED, "by ZAP."),
        (True, (SAST, replace(TRIED, figures={**TRIED.figures, "high": 1})), Outcome.FAILED, "1 high"),
        (False, (SAST,), Outcome.PASSED, "9 low, by semgrep."),
    ],
)
def test_a_policy_may_ask_that_a_scanner_tried_the_running_release_out(dynamic, reports, outcome, words):
    rule = clause(6, "security_scan", settings={"tolerated": "medium", "dynamic": dynamic})

    result = judge("security_scan", make_policy(clauses=[*make_document()["clauses"], rule]), reports=reports)

    assert (result.outcome, words in result.sentence) == (outcome, True), result.sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"plan_hash": "other"},
        {"role": "SECURITY"},
        {"holds_role": False},
        {"until": AT},
        {"gate": "coverage"},
    ],
)
def test_a_waiver_counts_for_its_gate_plan_role_and_time_only(changes):
    rule = clause(6, "tests", settings={"suites": ["UNIT"], "waived_by": "DEVOPS"})
    policy = make_policy(clauses=[*make_document()["clauses"], rule])
    waiver = WaiverFacts("tests", "DEVOPS", "Dev", "The runner is down", PLAN, AT + timedelta(hours=1), holds_role=True)

    waived = judge("tests", policy, reports=(), waivers=(waiver,))
    other = judge("tests", policy, reports=(), waivers=(replace(waiver, **changes),))

    assert (waived.outcome, other.outcome) == (Outcome.WAIVED, Outcome.WAITING)
    assert waived.sentence.startswith("Waived by Dev until 2026-11-18 20:00 UTC: “The runner is down”. There is no rep")
    assert lets_pass((waived,))


def test_evidence_names_the_reports_where_they_ran_and_when():
    assert judge("tests").evidence[0] == "Unit tests, in QA, received 2026-11-17 19:00 UTC"


def test_evidence_names_who_approved():
    assert judge("approvals").evidence == ("Devops: devops",)


def test_every_gate_that_stands_open_says_who_can_change_it_or_when_time_does_unless_it_is_under_way():
    for gate, fields, outcome, _words in TABLE:
        if not outcome.lets_pass and outcome != Outcome.RUNNING:
            result = judge(gate, **fields)
            assert result.who or result.next_open, (gate, fields)


def test_policy_decides_whether_what_nobody_can_say_waits() -> None:
    rows = make_document("rollback_readiness", roles=("DEVOPS",))["clauses"]
    row = next(row for row in rows if row["gate"] == "rollback_readiness")
    row["settings"] |= {"unknown": "waits", "fresh_minutes": 5}
    policy = parse(make_document("rollback_readiness", roles=("DEVOPS",)) | {"clauses": rows})

    young = judge("rollback_readiness", policy, fallbacks=elsewhere(at=AT - timedelta(minutes=4)))
    old = judge("rollback_readiness", policy, fallbacks=elsewhere())
    lost = judge("rollback_readiness", policy, fallbacks=elsewhere(answer="MISSING"))

    assert [each.outcome for each in (young, old, lost)] == [Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED]
    assert old.sentence.startswith("Not known whether 1.0.0 can run again: it was there at 2026-11-18 18:50 UTC, ")
    said = f"{DIGEST} was there at 2026-11-18 18:56 UTC, asked by worker-1. r.example has it."
    assert young.evidence == (f"1.0.0: {said}",)
