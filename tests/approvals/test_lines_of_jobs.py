"""Lines that a policy lets jobs tick: done and taken back by reports, bound to the release's digest and the
environment, and never an approval.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion, Tick
from apps.audit.actors import SYSTEM, Actor
from apps.audit.models import AuditEvent
from apps.integrations.artifact_store import ArtifactStore
from apps.policies.gates import lets_pass
from apps.releases.actions.evidence import EvidenceInvalid, LinesOfPeople
from apps.releases.models import Evidence
from apps.workspaces.models import ApiToken
from tests.api.test_create_release import make_token
from tests.approvals.promotions import ask, deploy, move, outcome_of, put_in_force, sentence_of, store, tick
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.policies.documents import AFTERWARDS, SETTINGS, clause, make_document
from tests.world import World, last_event

pytestmark = pytest.mark.django_db

RUN = "https://ci.example.com/runs/17"
SMOKE = {"id": "smoke", "text": "Smoke tests ran", "role": "DEVOPS", "job": True}
REPORTS = {"id": "scan", "text": "Security scans clean", "role": "DEVOPS", "job": True}
API = "/api/v1/releases/greeter/1.0.0/evidence"


def ask_for_lines(tier: str = "DEV", *more: dict[str, Any], notes: str = "Release notes prepared") -> None:
    """Put a policy in force that lets jobs tick one line before the start and one after it, and people the others."""
    people = {"id": "notes", "text": notes, "role": "RELEASE_ENGINEER"}
    rows = [
        *make_document()["clauses"],
        clause(20, "checklist", settings={**SETTINGS["checklist"], "lines": [people, SMOKE, *more]}),
        clause(21, "checklist", settings={**AFTERWARDS, "lines": [*AFTERWARDS["lines"], REPORTS]}),
    ]
    put_in_force(tier, clauses=rows)


@pytest.fixture(autouse=True)
def artifacts(settings: Any, tmp_path: Path) -> ArtifactStore:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"
    return ArtifactStore(settings.ARTIFACT_DIR)


@pytest.fixture
def job(world: World) -> Actor:
    with world.everything():
        make_token(world.cast)
        return ApiToken.objects.get(name="Pipeline").actor


@pytest.fixture
def promotion(world: World) -> Promotion:
    with world.everything():
        ask_for_lines()
        store(world.release)
        return ask(world, world.dev, starts_by_itself=False)


def words(*lines: str, at: datetime = NOW, done: bool = True, proof: str = RUN, checklist: str = "before") -> bytes:
    rows = [{"checklist": checklist, "line": line, "done": done, "proof": proof} for line in lines or ("smoke",)]
    return json.dumps({"at": at.isoformat(), "lines": rows}).encode()


def say(world: World, job: Actor, report: bytes | None = None, **more: Any) -> tuple[Evidence, bool]:
    values = {"environment": world.dev, "now": NOW, "by": job, **more}
    return actions.report_lines(world.release, report=report or words(), **values)


def again(promotion: Promotion) -> Promotion:
    return Promotion.objects.with_subject().get(pk=promotion.pk)


def test_a_job_ticks_the_line_that_the_policy_lets_it_and_nothing_else(
    world: World, promotion: Promotion, job: Actor
) -> None:
    evidence, is_new = say(world, job)

    told = again(promotion)
    assert (is_new, evidence.artifact_digest) == (True, world.release.artifact_digest)
    assert sentence_of(told, "checklist") == "1 of 2 lines ticked. Missing: Release notes prepared."
    event = last_event("tick.given")
    assert (event.actor_label, event.reason, event.approval["evidence"]) == ("Pipeline", RUN, str(evidence.pk))
    assert event.summary.endswith("had “Smoke tests ran” ticked by Pipeline (a job)")
    assert last_event("evidence.received").actor_label == "Pipeline"

    ready = tick(told.checklist_lines.get(line="notes"), world.cast.release_engineer)

    assert ready.state == PromotionState.READY
    assert any(f"ticked by Pipeline (a job), 2026-11-18 19:00 UTC: “{RUN}”" in row["evidence"][1] for row in ready.gates
               if row["name"] == "checklist")  # fmt: skip


def test_the_same_report_ticks_once(world: World, promotion: Promotion, job: Actor) -> None:
    first, second = say(world, job), say(world, job)

    assert (first[0], [first[1], second[1]]) == (second[0], [True, False])
    assert AuditEvent.objects.filter(kind="tick.given").count() == 1
    assert Tick.objects.count() == 1


def test_a_job_takes_back_what_jobs_ticked_and_a_late_repetition_changes_nothing(
    world: World, promotion: Promotion, job: Actor
) -> None:
    say(world, job)
    ready = tick(promotion.checklist_lines.get(line="notes"), world.cast.release_engineer)
    assert ready.state == PromotionState.READY

    say(world, job, words(done=False, at=NOW + timedelta(seconds=1), proof="2 of 9 failed"))

    waiting = again(promotion)
    assert (waiting.state, outcome_of(waiting, "checklist")) == (PromotionState.PENDING, "WAITING")
    event = last_event("tick.taken_back")
    assert (event.actor_label, event.reason) == ("Pipeline", "2 of 9 failed")
    say(world, job)  # once more, as a pipeline does that got no answer
    say(world, job, words(at=NOW - timedelta(minutes=9), proof="Another run, before it"))
    assert again(promotion).state == PromotionState.PENDING

    say(world, job, words(at=NOW + timedelta(seconds=2)))
    assert again(promotion).state == PromotionState.READY


def test_what_a_job_said_before_anybody_asked_counts_for_the_promotion(world: World, job: Actor) -> None:
    ask_for_lines()
    say(world, job)
    say(world, job, words(done=False, at=NOW - timedelta(hours=1)))

    promotion = ask(world, world.dev, starts_by_itself=False)

    assert sentence_of(promotion, "checklist") == "1 of 2 lines ticked. Missing: Release notes prepared."
    assert last_event("tick.given").actor_label == SYSTEM.label
    assert last_event("evidence.received").actor_label == "Pipeline"


def test_it_counts_for_this_release_in_this_environment_alone(world: World, promotion: Promotion, job: Actor) -> None:
    ask_for_lines("QA")
    say(world, job, environment=world.qa)
    assert not Tick.objects.exists()
    say(world, job)
    other = ask(world, world.dev, world.next_release("1.1.0"), starts_by_itself=False)

    assert sentence_of(other, "checklist").startswith("0 of 2 lines ticked.")
    with pytest.raises(IntegrityError), transaction.atomic():
        Tick.objects.update(ticked_by=world.cast.devops)
    with pytest.raises(Error, match="can not be changed"), transaction.atomic():
        connection.cursor().execute("UPDATE approvals_tick SET evidence_id = NULL")


def test_a_changed_plan_leaves_what_a_job_proved_and_asks_people_anew(
    world: World, promotion: Promotion, job: Actor
) -> None:
    say(world, job)
    ready = tick(promotion.checklist_lines.get(line="notes"), world.cast.release_engineer)
    move(ready.lane, world.release)

    settled = actions.settle(ready, now=NOW)

    assert sentence_of(settled, "checklist") == "1 of 2 lines ticked. Missing: Release notes prepared."
    gates = {gate.name: gate for gate in actions.recheck(settled, now=NOW)}
    assert gates["checklist"].sentence == sentence_of(settled, "checklist")


def test_a_line_that_is_for_jobs_no_more_is_open_again(world: World, promotion: Promotion, job: Actor) -> None:
    say(world, job)
    rows = [
        *make_document()["clauses"],
        clause(20, "checklist", settings={**SETTINGS["checklist"], "lines": [{**SMOKE} | {"text": "Smoke"}]}),
    ]
    rows[-1]["settings"]["lines"][0].pop("job")
    put_in_force("DEV", clauses=rows)

    settled = actions.settle(promotion, now=NOW)

    assert sentence_of(settled, "checklist") == "0 of 1 lines ticked. Missing: Smoke."


def test_a_job_wins_no_approval(world: World, job: Actor) -> None:
    rows = [
        *make_document(roles=("DEVOPS",))["clauses"],
        clause(20, "checklist", settings={**SETTINGS["checklist"], "lines": [SMOKE]}),
    ]
    put_in_force("DEV", clauses=rows)
    promotion = ask(world, world.dev)
    store(world.release)

    say(world, job)

    waiting = again(promotion)
    assert (waiting.state, outcome_of(waiting, "checklist")) == (PromotionState.PENDING, "PASSED")
    assert outcome_of(waiting, "approvals") == "WAITING"
    assert not waiting.decisions.exists()
    requirement = waiting.requirements.get()
    with pytest.raises(Exception, match="person"):
        actions.decide(
            requirement, choice="APPROVE", comment="", plan_hash=waiting.plan_hash, by=job, confirmation=None, now=NOW
        )


def test_a_person_of_the_role_ticks_instead_and_may_stop_what_a_job_said(
    world: World, promotion: Promotion, job: Actor
) -> None:
    line = promotion.checklist_lines.get(line="smoke")
    say(world, job)
    with pytest.raises(actions.AlreadyTicked, match=r"was ticked by Pipeline \(a job\)"):
        tick(line, world.cast.devops)

    actions.take_back(line.ticks.with_people().get(), reason="It ran elsewhere", by=world.cast.devops, now=NOW)

    say(world, job)  # the same word is not enough
    assert actions.settle(promotion, now=NOW).state == PromotionState.PENDING
    assert not line.ticks.standing().exists()
    tick(line, world.cast.devops, note="By hand")
    say(world, job, words(done=False, at=NOW + timedelta(seconds=9)))
    assert line.ticks.standing().with_people().get().people == "DevOps"


def test_after_the_deployment_a_job_ticks_what_is_owed_and_takes_it_back(
    world: World, promotion: Promotion, job: Actor
) -> None:
    say(world, job)
    ended = deploy(tick(promotion.checklist_lines.get(line="notes"), world.cast.release_engineer))
    owed = ended.checklist_lines.owed().values_list("line", flat=True)
    assert set(owed) == {"reports", "scan"}

    say(world, job, words("scan", checklist="after"))

    assert set(owed.all()) == {"reports"}
    assert last_event("tick.given").summary.endswith("ticked by Pipeline (a job), after the deployment")
    say(world, job, words("smoke", done=False, at=NOW + timedelta(seconds=5)))
    assert Tick.objects.standing().filter(line__line="smoke").exists(), "what was ticked until the start stays"
    say(world, job, words("scan", checklist="after", done=False, at=NOW + timedelta(seconds=5)))
    assert set(owed.all()) == {"reports", "scan"}


def test_what_was_said_early_of_the_time_afterwards_counts_once_it_is_owed(
    world: World, promotion: Promotion, job: Actor
) -> None:
    say(world, job)
    say(world, job, words("scan", checklist="after"))

    ended = deploy(tick(promotion.checklist_lines.get(line="notes"), world.cast.release_engineer))

    assert list(ended.checklist_lines.owed().values_list("line", flat=True)) == ["reports"]


def test_people_do_not_send_what_only_jobs_say(world: World, promotion: Promotion, job: Actor) -> None:
    with pytest.raises(EvidenceInvalid, match="Only a job"):
        say(world, world.cast.release_engineer)  # type: ignore[arg-type]
    with pytest.raises(LinesOfPeople, match="No job ticks notes of before"):
        say(world, job, words("smoke", "notes"))
    assert not Evidence.objects.exists()
    page = text_of(get(world.cast.release_engineer, reverse("releases:evidence-list", args=["greeter", "1.0.0"])))
    assert "Lines of checklists" not in page


@pytest.mark.parametrize(
    ("query", "report", "status", "code", "said"),
    [
        ("environment=dev", words("smoke", "smok"), 422, "checklist_lines_unknown", "No checklist there has smok of b"),
        ("environment=dev", words(checklist="after"), 422, "checklist_lines_unknown", "smoke of after"),
        ("environment=production", words(), 422, "checklist_lines_unknown", "smoke of before"),
        ("environment=dev", words("smoke", "notes"), 403, "checklist_lines_of_people", "No job ticks notes"),
        ("", words(), 422, "evidence_invalid", "in which environment"),
        ("environment=mars", words(), 404, "unknown_environment", "no such environment"),
        ("environment=dev&suite=UNIT", words(), 422, "evidence_invalid", "Only tests"),
        ("environment=dev&artifact_digest=sha256:00", words(), 409, "digest_differs", "was sealed with"),
        ("environment=dev", words(at=datetime(2900, 1, 1, tzinfo=UTC)), 422, "evidence_invalid", "in the future"),
        ("environment=dev", words()[:-9], 422, "evidence_invalid", "not JSON"),
        ("environment=dev", b"<!DOCTYPE a [<!ENTITY b '&b;'>]><a/>", 422, "evidence_invalid", "not JSON"),
        ("environment=dev", b'{"lines":' * 90_000, 422, "evidence_invalid", "nested too deeply"),
        ("environment=dev", b" " * (17 << 20), 413, "body_too_large", "larger than"),
    ],
    ids=str,
)
def test_what_can_not_be_kept_is_refused_and_ticks_nothing(
    world: World, promotion: Promotion, query: str, report: bytes, status: int, code: str, said: str
) -> None:
    with world.everything():
        token = make_token(world.cast)
        before = again(promotion).gates_at

    answer = send(token, report, query)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert said in answer.json()["detail"]
    with world.everything():
        assert not Evidence.objects.exists()
        assert not Tick.objects.exists()
        assert not AuditEvent.objects.filter(kind__in=("evidence.received", "tick.given")).exists()
        assert again(promotion).gates_at == before


def send(token: str, report: bytes, query: str = "environment=dev") -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return Client().post(f"{API}?kind=CHECKLIST&{query}", report, content_type="application/json", headers=headers)


def test_the_page_shows_who_ticked_with_the_proof_and_what_was_sent(world: World) -> None:
    now = timezone.now()
    with world.everything():
        ask_for_lines()
        promotion = ask(world, world.dev, now=now, starts_by_itself=False)
        token, other = make_token(world.cast), world.cast.devops
    page = reverse("approvals:promotion-detail", args=[promotion.number])
    assert "A job can tick it, too." in text_of(get(other, page))

    answer = send(token, words(at=now, proof=f"{RUN} <b>"))

    assert (answer.status_code, answer.json()["says"]) == (201, "1 line done")
    shown = text_of(get(other, page))
    assert "Pipeline (a job) ticked it" in shown
    assert f'<a href="{RUN}" rel="nofollow">{RUN}</a> &lt;b&gt;' in shown
    original = reverse("releases:evidence-original", args=["greeter", "1.0.0", answer.json()["id"]])
    assert original in shown
    assert b"".join(get(world.cast.auditor, original).streaming_content) == words(at=now, proof=f"{RUN} <b>")
    with world.everything():
        back = reverse("approvals:tick-withdrawal", args=[Tick.objects.get().pk])
    assert back in shown
    assert "Pipeline (a job) ticked it" in text_of(get(other, back))
    assert post(other, back, {"reason": "It ran elsewhere"}).status_code == 302
    assert "no longer counts, DevOps took it back: It ran elsewhere" in text_of(get(other, page))


@pytest.mark.django_db(transaction=True)
def test_of_a_person_and_a_job_who_tick_a_line_at_once_one_does(world: World, promotion: Promotion, job: Actor) -> None:
    with world.everything():
        line = promotion.checklist_lines.get(line="smoke")

    results = at_once(world, lambda: tick(line, world.cast.devops), lambda: say(world, job))

    assert [type(found) for found in results if isinstance(found, Exception)] in ([], [actions.AlreadyTicked])
    with world.everything():
        assert Tick.objects.count() == 1
        assert AuditEvent.objects.filter(kind="tick.given").count() == 1
        assert Evidence.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_reports_of_the_same_line_at_once_tick_it_once(world: World, promotion: Promotion, job: Actor) -> None:
    reports = [words(proof=f"Run {number}") for number in range(3)]

    results = at_once(world, *(lambda report=report: say(world, job, report) for report in reports))

    assert not [found for found in results if isinstance(found, Exception)]
    with world.everything():
        assert (Evidence.objects.count(), Tick.objects.count()) == (3, 1)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_takes_back_while_the_claim_runs_comes_before_it_or_after_it(
    world: World, promotion: Promotion, job: Actor
) -> None:
    with world.everything():
        say(world, job)
        ready = tick(promotion.checklist_lines.get(line="notes"), world.cast.release_engineer)
        assert ready.state == PromotionState.READY

    @transaction.atomic
    def claim() -> bool:
        passes = lets_pass(actions.recheck(ready, now=NOW))
        if passes:
            actions.mark(ready, PromotionState.DEPLOYING, by=SYSTEM, now=NOW)
        return passes

    withdrawn = words(done=False, at=NOW + timedelta(seconds=1))
    claimed, _ = results = at_once(world, claim, lambda: say(world, job, withdrawn))

    assert not [found for found in results if isinstance(found, Exception)]
    with world.everything():
        stands = Tick.objects.standing().filter(line__line="smoke").exists()
        state = again(promotion).state
    assert (claimed, stands, state) in (
        (True, True, PromotionState.DEPLOYING), (False, False, PromotionState.PENDING),
    )  # fmt: skip
