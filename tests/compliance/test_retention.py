"""Old entries go by two people, with an archive and a sealed proof; a legal hold keeps them, whoever asks."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from apps.accounts.models import User
from apps.accounts.permissions import NotConfirmed
from apps.audit.models import AuditEvent
from apps.compliance import actions, cutting
from apps.compliance.actions import proposals
from apps.compliance.enums import CutState, HoldScope, WishState
from apps.compliance.models import Cut, LegalHold, Proposal, Retention
from apps.compliance.models.retention import latest_until
from apps.compliance.retention import retention_of
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Conflict, Denied
from tests.accounts.factors import by_password
from tests.audit.real_ledger import Ledger, verify
from tests.cast import NOW, PASSWORD
from tests.compliance.keeping import propose_retention, put_hold
from tests.drill import get, post, text_of
from tests.engines import Engines
from tests.world import World, last_event

OLD = 5
GIVEN = {"legal_basis": "STORAGE_LIMIT", "reason": "They are old enough"}
AGED = """
WITH told AS (SELECT * FROM audit_event WHERE event_id = %(event)s),
fresh AS (SELECT uuidv7(%(at)s::timestamptz - now()) AS id)
INSERT INTO audit_event (event_id, workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label,
    target_type, target_id, target_label, request_id, summary, reason, actor, source, target, change, approval,
    causation, schema_version, canonical)
SELECT fresh.id, workspace_id, %(at)s, kind, outcome, actor_type, actor_id, actor_label, target_type, target_id,
    target_label, request_id, summary, reason, actor, source, target, change, approval, causation, schema_version,
    convert_to((convert_from(canonical, 'UTF8')::jsonb || jsonb_build_object('event_id', fresh.id, 'recorded_at',
        to_char(%(at)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))::text, 'UTF8')
FROM told, fresh
"""


def confirm(proposal: Proposal, *, by: User, now: datetime | None = None) -> Proposal:
    now = now or timezone.now()
    return actions.confirm_proposal(proposal, by=by, now=now, confirmation=by_password(by, now))


@pytest.fixture
def aged(
    transactional_db: None, world: World, engines: Engines, database: str, django_db_blocker: DjangoDbBlocker,
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> Ledger:  # fmt: skip
    """A sealed ledger whose platform has entries of five hundred days ago, before all others."""
    settings.AUDIT_ARCHIVE_DIR = tmp_path / "archives"
    monkeypatch.setattr(cutting, "WAITS", timedelta(0))
    ledger = Ledger(engines, django_db_blocker, database)
    at = timezone.now() - timedelta(days=500)
    with ledger.superuser() as admin:
        ledger.know_key(admin)
        first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (first + timedelta(days=32)).replace(day=1)
        name = f"audit_event_{first:%Y_%m}"
        admin.execute(f"CREATE TABLE {name} PARTITION OF audit_event FOR VALUES FROM ('{first}') TO ('{following}')")
        admin.execute(f"ALTER TABLE {name} OWNER TO eaip_owner")
        (event,) = admin.execute(
            "SELECT event_id FROM audit_event WHERE workspace_id = %s LIMIT 1", [PLATFORM_WORKSPACE_ID]
        ).fetchone() or ("",)
        for number in range(OLD):
            admin.execute(AGED, {"event": event, "at": at + timedelta(seconds=number)})
        admin.execute(
            "INSERT INTO audit_subject (workspace_id, month, person_id, commitment, salt, opening)"
            " VALUES (%s, %s, '', sha256(''), '', '{}')", [PLATFORM_WORKSPACE_ID, first.date()],
        )  # fmt: skip
    ledger.seal()
    return ledger


def confirmed_cut(world: World) -> Cut:
    until = latest_until(timezone.now(), 400)
    given = {"workspace": PLATFORM_WORKSPACE_ID, "until": f"{until:%Y-%m}", **GIVEN}
    answer = post(world.cast.security, reverse("compliance:cut-propose"), given)
    assert answer.status_code == 302, text_of(answer)
    with world.everything():
        proposal = Proposal.objects.get()
        assert last_event("retention.proposed").target_id == str(proposal.pk)
        confirm(proposal, by=world.cast.engineering_manager)
        return Cut.objects.get(proposal=proposal)


def go_on() -> None:
    cutting.go_on(PLATFORM_WORKSPACE_ID, now=timezone.now())


def now_of(world: World, cut: Cut) -> Cut:
    with world.everything():
        return Cut.objects.get(pk=cut.pk)


def old_entries(ledger: Ledger) -> int:
    with ledger.superuser() as admin:
        statement = "SELECT count(*) FROM audit_event WHERE recorded_at < now() - interval '450 days'"
        return (admin.execute(statement).fetchone() or (0,))[0]


@pytest.mark.django_db(transaction=True)
def test_cut_archives_tells_and_removes_and_every_proof_holds(
    world: World, aged: Ledger, tmp_path: Path, settings: Any
) -> None:
    key = aged.vkey(PLATFORM_WORKSPACE_ID)
    (tmp_path / "held.note").write_text(aged.newest_note(PLATFORM_WORKSPACE_ID))
    cut = confirmed_cut(world)

    go_on()

    waiting = now_of(world, cut)
    assert (waiting.state, waiting.first_leaf, waiting.last_leaf) == (CutState.RECORDED, 0, OLD - 1)
    assert old_entries(aged) == OLD  # the entry that proves it is not sealed yet
    aged.seal()
    go_on()

    done = now_of(world, cut)
    assert (done.state, done.entries, old_entries(aged)) == (CutState.DONE, OLD, 0)
    aged.seal()
    bundle = aged.export(PLATFORM_WORKSPACE_ID, tmp_path / "log.zip")
    told = verify(bundle, "--key", key, "--checkpoint", "held.note")
    assert told.code == 0, told.text
    assert f"leaves 0 to {OLD - 1} were cut" in told.text
    archive = verify(cutting.path_of(done.archive), "--key", key)
    assert archive.code == 0, archive.text
    with aged.superuser() as admin:
        months = admin.execute("SELECT count(*) FROM audit_subject WHERE month < %s", [done.until]).fetchone()
        tables = admin.execute(
            "SELECT count(*) FROM pg_class WHERE relname ~ '^audit_event_[0-9]{4}_[0-9]{2}$' AND relname < %s",
            [f"audit_event_{done.until:%Y_%m}"],
        ).fetchone()
    assert (months, tables) == ((0,), (0,))
    with world.everything():
        event = last_event("retention.cut")
        assert event.change["archive_sha256"]["after"] == done.archive_sha256
        assert event.approval["proposed_by"] == str(world.cast.security.pk)
        assert event.approval["confirmed_by"] == str(world.cast.engineering_manager.pk)
        assert last_event("retention.removed").change["entries"]["after"] == OLD
    page = text_of(get(world.cast.auditor, reverse("compliance:proposal-detail", args=[done.proposal_id])))
    assert done.archive_sha256 in page


@pytest.mark.django_db(transaction=True)
def test_hold_keeps_entries_whoever_cuts_until_two_people_lift_it(world: World, aged: Ledger) -> None:
    cut = confirmed_cut(world)
    cutting.archive(cut, now=timezone.now())
    with world.everything():
        cutting.tell(cut, now=NOW)
        hold = actions.put_hold(
            world.cast.platform, scope=HoldScope.WORKSPACE, reason="A court asks", by=world.cast.security, now=NOW,
            until=timezone.now(),
        )  # fmt: skip
    aged.seal()
    go_on()

    assert now_of(world, cut).problem.startswith("A legal hold covers")
    with world.everything(), pytest.raises(DatabaseError, match="a legal hold covers"), transaction.atomic():
        connection.cursor().execute("SELECT cut_events(%s)", [cut.pk])
    assert old_entries(aged) == OLD
    with world.everything():
        lift = actions.propose_lift(hold, reason="It ended", by=world.cast.security, now=timezone.now())
        with pytest.raises(Denied, match="You proposed it"):
            confirm(lift, by=world.cast.security)
        with pytest.raises(DatabaseError, match="takes two people"), transaction.atomic():
            LegalHold.objects.filter(pk=hold.pk).update(lifted_at=NOW, lifted_with=lift)
        confirm(lift, by=world.cast.engineering_manager)
    go_on()

    assert (now_of(world, cut).state, old_entries(aged)) == (CutState.DONE, 0)


@pytest.mark.django_db(transaction=True)
def test_cut_that_dies_anywhere_goes_on_and_removes_nothing_without_its_archive(
    world: World, aged: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = confirmed_cut(world)

    def dies(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(cutting.os, "fsync", dies)
        go_on()
    broken = now_of(world, cut)
    assert (broken.state, "the disk is full" in broken.problem) == (CutState.CONFIRMED, True)
    assert not list(cutting.path_of("x").parent.iterdir())

    cutting.archive(cut, now=timezone.now())
    kept = cutting.path_of(now_of(world, cut).archive)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1])
    go_on()
    assert "is not what was written" in now_of(world, cut).problem
    kept.write_bytes(whole)
    go_on()
    aged.seal()
    with monkeypatch.context() as patch:
        patch.setattr(cutting.audit, "record", dies)  # between the removal and its commit
        go_on()
    assert (now_of(world, cut).state, old_entries(aged)) == (CutState.RECORDED, OLD)
    go_on()

    assert (now_of(world, cut).state, old_entries(aged)) == (CutState.DONE, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_hold_first", [True, False])
def test_of_a_hold_and_a_cut_at_once_the_hold_wins_or_the_cut_had_ended(
    world: World, aged: Ledger, is_hold_first: bool
) -> None:
    cut = confirmed_cut(world)
    cutting.archive(cut, now=timezone.now())
    with world.everything():
        cutting.tell(cut, now=NOW)
    aged.seal()
    begun, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        actions.put_hold(
            world.cast.platform, scope=HoldScope.WORKSPACE, reason="A court asks", by=world.cast.security, now=NOW
        )

    def remove() -> None:
        cutting.remove(cut, now=NOW)

    first, second = (hold, remove) if is_hold_first else (remove, hold)

    def slow() -> None:
        with closing(connection), world.everything():
            first()
            begun.set()
            may_end.wait(20)

    def quick() -> None:
        begun.wait(20)
        with closing(connection), world.everything():
            second()

    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(slow), threads.submit(quick)]
        begun.wait(20)
        with aged.superuser() as admin:
            _until_somebody_waits(admin)
        may_end.set()
        for each in done:
            each.result(timeout=30)

    assert old_entries(aged) == (OLD if is_hold_first else 0)
    assert now_of(world, cut).state == (CutState.RECORDED if is_hold_first else CutState.DONE)
    with world.everything():
        assert LegalHold.objects.standing().count() == 1


def _until_somebody_waits(admin: psycopg.Connection) -> None:
    for _ in range(400):
        waiting = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
        if waiting and waiting[0]:
            return
        threading.Event().wait(0.05)
    raise AssertionError("nobody waits")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_confirm_at_once_one_does(world: World) -> None:
    with world.everything():
        proposal = propose_retention(world)
    barrier = threading.Barrier(3)

    def act(number: int) -> str:
        barrier.wait()
        try:
            with world.everything():
                confirm(proposal, by=world.cast.engineering_manager)
        except Conflict as refusal:
            return refusal.code
        finally:
            connection.close()
        return "confirmed"

    with ThreadPoolExecutor(3) as threads:
        answers = sorted(threads.map(act, range(3)))

    assert answers == ["confirmed", "wish_decided", "wish_decided"]
    with world.everything():
        assert Retention.objects.count() == AuditEvent.objects.filter(kind="retention.changed").count() == 1


@pytest.mark.django_db
def test_retention_changes_by_two_people_who_confirm_that_it_is_them(world: World) -> None:
    assert (retention_of(PLATFORM_WORKSPACE_ID).online_days, retention_of(PLATFORM_WORKSPACE_ID).archive_years) == (
        400,
        7,
    )
    proposal = propose_retention(world)
    with pytest.raises(proposals.WishPending):
        propose_retention(world)
    with pytest.raises(Denied, match="You proposed it"):
        confirm(proposal, by=world.cast.security)
    with pytest.raises(NotConfirmed):
        actions.confirm_proposal(proposal, by=world.cast.engineering_manager, now=NOW)

    confirm(proposal, by=world.cast.engineering_manager)

    assert retention_of(PLATFORM_WORKSPACE_ID).online_days == 500
    event = last_event("retention.changed")
    assert (event.change["online_days"], event.approval["confirmed_with"]) == (
        {"before": 400, "after": 500},
        "PASSWORD",
    )
    with pytest.raises(proposals.WishDecided):
        actions.turn_down_proposal(proposal, comment="Late", by=world.cast.security, now=NOW)
    for change in ({"state": WishState.OPEN, "decided_at": None, "decided_by": None}, {"reason": "Another"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Proposal.objects.filter(pk=proposal.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        Retention.objects.update(online_days=365)


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["auditor", "devops", "release_engineer", "customer_operator", "administrator"])
def test_who_does_not_keep_the_trail_proposes_and_decides_nothing(world: World, who: str) -> None:
    person, proposal = getattr(world.cast, who), propose_retention(world)

    for attempt in (
        lambda: propose_retention(world, person, 600),
        lambda: confirm(proposal, by=person),
        lambda: actions.put_hold(world.cast.platform, scope="WORKSPACE", reason="x", by=person, now=NOW),
        lambda: actions.turn_down_proposal(proposal, comment="No", by=person, now=NOW),
    ):
        with pytest.raises(Denied):
            attempt()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("until", "refusal"),
    [
        (lambda: date(2020, 1, 2), proposals.TermsInvalid),
        (lambda: timezone.now().date().replace(day=1), proposals.TermsInvalid),
        (lambda: date(2020, 1, 1), proposals.NothingToCut),
    ],
)
def test_cut_is_of_whole_months_that_are_old_and_hold_something(
    world: World, until: Callable[[], date], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        actions.propose_cut(world.cast.platform, until=until(), by=world.cast.security, now=timezone.now(), **GIVEN)


@pytest.mark.django_db
def test_nobody_cuts_by_the_function_alone(world: World) -> None:
    for statement in ("SELECT cut_events(%s)", "SELECT erase_person(%s)"):
        with pytest.raises(DatabaseError, match="nobody confirmed"), transaction.atomic():
            connection.cursor().execute(statement, [uuid4()])


def test_latest_day_is_a_months_first() -> None:
    assert latest_until(datetime(2026, 11, 28, tzinfo=UTC), 400) == date(2025, 10, 1)


@pytest.mark.django_db
def test_page_takes_the_same_number_of_queries_however_much_there_is(world: World) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert get(world.cast.auditor, reverse("compliance:retention")).status_code == 200
        return len(queries)

    with world.everything():
        put_hold(world)
        propose_retention(world)
    few = cost()
    with world.everything():
        for name in ("one", "another", "third"):
            hold = put_hold(world, scope="ACTOR", actor_id=name)
            actions.propose_lift(hold, reason="It ended", by=world.cast.security, now=NOW)

    assert cost() == few


@pytest.mark.django_db
def test_pages_put_a_hold_that_the_trail_shows_and_have_it_lifted(world: World) -> None:
    address, security, manager = reverse("compliance:hold-put"), world.cast.security, world.cast.engineering_manager
    given = {"workspace": PLATFORM_WORKSPACE_ID, "scope": "ACTOR", "reason": "A court asks"}
    assert post(security, address, given).status_code == 422  # nobody is named
    assert post(world.cast.auditor, address, given).status_code == 403

    assert post(security, address, {**given, "actor_id": str(world.cast.devops.pk)}).status_code == 302

    with world.everything():
        hold = LegalHold.objects.get()
    for where in ("audit:event-list", "compliance:retention"):
        assert "what " + str(world.cast.devops.pk) + " did" in text_of(get(world.cast.auditor, reverse(where)))
    post(security, reverse("compliance:hold-detail", args=[hold.pk]), {"reason": "It ended"})
    with world.everything():
        proposal = Proposal.objects.get()
    page, decision = (reverse(f"compliance:proposal-{what}", args=[proposal.pk]) for what in ("detail", "decision"))
    assert "You proposed it" in text_of(get(security, page))
    wrong = post(manager, decision, {"choice": "CONFIRM", "password": "wrong"})
    assert "You are not confirmed" in text_of(wrong)
    assert post(manager, decision, {"choice": "CONFIRM", "password": PASSWORD}).status_code == 302
    with world.everything():
        assert not LegalHold.objects.standing().exists()
        assert json.loads(bytes(last_event("legal_hold.lifted").canonical))["approval"]["proposal"] == str(proposal.pk)
