"""A person's data go from all that is shown, searched, exported and opened; every proof stays."""

import hashlib
import json
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from pytest_django import DjangoDbBlocker

from apps.accounts import actions as account_actions
from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent, FieldHistory
from apps.audit.source import Source, coming_from
from apps.compliance import actions, cutting
from apps.compliance.actions import proposals
from apps.compliance.enums import ExportState, HoldScope
from apps.compliance.export_transitions import advance
from apps.compliance.exports import files
from apps.compliance.exports.run import see_to_exports
from apps.compliance.models import AuditExport, Erasure, Proposal
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Denied
from apps.workspaces.models import Membership
from apps.workspaces.scope import workspace_scope
from tests.accounts.factors import by_password, register_app
from tests.audit.real_ledger import Ledger, verify
from tests.cast import NOW, make_person
from tests.compliance.keeping import somebody_who_left
from tests.drill import get, post, text_of
from tests.engines import Engines
from tests.world import World, last_event

pytestmark = pytest.mark.django_db
NAME, ADDRESS, BROWSER = "Former O'Release-Owner", "192.0.2.77", 'Strange "Browser" 7'
PLACE = Source(via="page", ip=ADDRESS, user_agent=BROWSER)


@pytest.fixture
def leaver(world: World) -> User:
    """Somebody who left: they did things, things were done to them, and others wrote of them."""
    person = make_person("former.owner", NAME, ("RELEASE_ENGINEER",), world.cast.platform)
    User.objects.filter(pk=person.pk).update(email="former@example.test")
    person.refresh_from_db()
    with coming_from(PLACE):
        account_actions.start_session(person, by=person)
        register_app(person)
        audit.record(
            "release.sealed", by=person, target=world.release, summary="Sealed it", workspace_id=world.cast.platform.pk
        )
    audit.record(
        "release.sealed", by=world.cast.devops, target=world.release, summary=f"DevOps asked {NAME}", people=[person],
        after={"owner": NAME, "note": f"line\n{NAME}"}, reason="It was agreed",
    )  # fmt: skip
    audit.record(
        "release.sealed", by=world.cast.devops, target=world.release, summary="Typed", reason=f"As {NAME} said"
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.actor', %s, true)", [str(person.pk)])
    FieldHistory.objects.create(
        content_type=ContentType.objects.get_for_model(User), object_pk=str(person.pk), object_repr=NAME, action=1,
        changes={"display_name": ["", NAME]}, remote_addr=ADDRESS, actor=person, actor_email="former@example.test",
        workspace_id=PLATFORM_WORKSPACE_ID, additional_data={"workspace": str(PLATFORM_WORKSPACE_ID)},
    )  # fmt: skip
    account_actions.close_account(person, reason="They left", by=SYSTEM)
    return person


def erased(world: World, person: User) -> Erasure:
    proposal = propose(world, person)
    actions.confirm_proposal(
        proposal, by=world.cast.engineering_manager, now=NOW,
        confirmation=by_password(world.cast.engineering_manager),
    )  # fmt: skip
    cutting.go_on(PLATFORM_WORKSPACE_ID, now=NOW)
    return Erasure.objects.get(proposal=proposal)


def propose(world: World, person: User, by: User | None = None) -> Proposal:
    return actions.propose_erasure(
        person, legal_basis="NOT_NEEDED", reason="They asked", by=by or world.cast.security, now=NOW
    )


def leaves() -> dict[Any, bytes]:
    events = AuditEvent.objects.values_list("event_id", "canonical")
    return {key: hashlib.sha256(b"\0" + bytes(canonical)).digest() for key, canonical in events}


def shown() -> str:
    """Return all that the ledger and what stands beside it tell, but for what is sealed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(e) - 'canonical' FROM audit_event e")
        rows = cursor.fetchall()
        cursor.execute("SELECT to_jsonb(s) FROM audit_subject s UNION ALL SELECT to_jsonb(h) FROM audit_fieldhistory h")
        rows += cursor.fetchall()
        cursor.execute("SELECT to_jsonb(u) FROM accounts_user u")
        rows += cursor.fetchall()
    return json.dumps(rows, ensure_ascii=False, default=str)


def test_nothing_that_is_shown_or_opened_tells_of_them_and_every_leaf_stays(world: World, leaver: User) -> None:
    words = (NAME, ADDRESS, json.dumps(BROWSER), "former@example.test", "former.owner")
    before = leaves()
    assert all(word.strip('"') in shown() for word in (NAME, ADDRESS, "former@example.test", "former.owner"))

    erasure = erased(world, leaver)

    told = shown()
    assert [word for word in words if word in told] == []
    after = leaves()
    assert {key: after[key] for key in before} == before
    event = AuditEvent.objects.get(kind="session.started", actor_id=str(leaver.pk))
    sealed = json.loads(bytes(event.canonical))
    assert (event.actor_label, event.summary) == (f"Erased {leaver.pk}", f"Erased {leaver.pk} signed in")
    assert event.source.keys() == {"via", "request_id"}
    assert sealed["summary"] == f"person:{leaver.pk} signed in"
    assert not [word for word in words if word in bytes(event.canonical).decode()]
    done = last_event("subject.erased")
    assert (done.change["entries"]["after"], done.change["entries_of_version_1"]["after"]) == (erasure.entries, 0)
    assert done.approval["confirmed_by"] == str(world.cast.engineering_manager.pk)
    others = AuditEvent.objects.get(summary__startswith="DevOps asked")
    assert others.summary == f"DevOps asked Erased {leaver.pk}"
    assert others.change["note"]["after"] == f"line\nErased {leaver.pk}"
    typed = AuditEvent.objects.get(summary="Typed")
    assert typed.reason == f"As Erased {leaver.pk} said"
    assert NAME in bytes(typed.canonical).decode()  # what people type is sealed as they typed it
    person = User.objects.get(pk=leaver.pk)
    assert (str(person), person.is_active, person.has_usable_password()) == (f"Erased {leaver.pk}", False, False)
    assert not person.second_factors.exists()


@pytest.mark.django_db(transaction=True)
def test_every_proof_holds_and_openings_are_gone(
    world: World, engines: Engines, database: str, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> None:
    ledger = Ledger(engines, django_db_blocker, database)
    with world.everything():
        person = somebody_who_left(world)
        audit.record("release.sealed", by=person, target=world.release, summary="Sealed it")
    with ledger.superuser() as admin:
        ledger.know_key(admin)
    ledger.seal()
    before = verify(ledger.export(PLATFORM_WORKSPACE_ID, tmp_path / "before.zip"))
    (tmp_path / "held.note").write_text(ledger.newest_note(PLATFORM_WORKSPACE_ID))

    with world.everything():
        erased(world, person)
    ledger.seal()
    bundle = ledger.export(PLATFORM_WORKSPACE_ID, tmp_path / "after.zip")
    after = verify(bundle, "--key", ledger.vkey(PLATFORM_WORKSPACE_ID), "--checkpoint", "held.note")

    assert (before.code, after.code) == (0, 0), after.text
    assert ", 0 times they are erased" in before.text
    assert ", 0 times they are erased" not in after.text
    assert str(person).encode() not in bundle.read_bytes()


def test_search_and_export_know_the_old_name_no_more(world: World, leaver: User, settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_DIR = tmp_path
    trail, auditor = reverse("audit:event-list"), world.cast.auditor
    assert "Sealed it" in text_of(get(auditor, f"{trail}?actor=former"))

    erased(world, leaver)

    for query in ("actor=former", "q=former", "actor=former.owner"):
        page = text_of(get(auditor, f"{trail}?{query}"))
        assert "No event matches" in page
    assert f"Erased {leaver.pk}" in text_of(get(auditor, f"{trail}?actor={leaver.pk}"))
    post(auditor, reverse("compliance:export-list"), {"format": "CSV"})
    see_to_exports()
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        export = AuditExport.objects.get()
    answer = get(auditor, reverse("compliance:export-download", args=[export.pk]))
    file = b"".join(answer.streaming_content).decode()
    assert [word for word in (NAME, ADDRESS) if word in file] == []
    assert str(leaver.pk) in file


def test_files_that_were_exported_before_go_and_what_is_being_written_begins_anew(
    world: World, leaver: User, settings: Any, tmp_path: Path
) -> None:
    settings.EXPORT_DIR = tmp_path
    auditor, page = world.cast.auditor, reverse("compliance:export-list")
    post(auditor, page, {"format": "CSV"})
    see_to_exports()
    done = AuditExport.objects.get()
    post(auditor, page, {"format": "CSV"})
    running = AuditExport.objects.exclude(pk=done.pk).get()
    assert AuditExport.objects.filter(pk=running.pk).take(uuid4(), timedelta(minutes=1))
    advance(running, ExportState.RUNNING, by=SYSTEM, summary="Began")
    running.refresh_from_db()

    erased(world, leaver)
    assert not AuditExport.objects.filter(pk=running.pk, lease_token=running.lease_token).exists()
    see_to_exports()

    assert not files.place(done.pk).exists()
    assert "personal data" in text_of(get(auditor, reverse("compliance:export-detail", args=[done.pk])))
    assert get(auditor, reverse("compliance:export-download", args=[done.pk])).status_code == 409
    assert NAME.encode() not in files.place(running.pk).read_bytes()
    assert AuditExport.objects.get(pk=running.pk).state == ExportState.DONE


def test_what_was_being_written_meanwhile_is_found_an_hour_later(world: World, leaver: User) -> None:
    erasure = erased(world, leaver)
    with coming_from(PLACE):
        audit.record("release.sealed", by=leaver, target=world.release, summary=f"{NAME} was late")

    cutting.go_on(PLATFORM_WORKSPACE_ID, now=NOW + timedelta(minutes=30))
    assert NAME in shown()
    cutting.go_on(PLATFORM_WORKSPACE_ID, now=NOW + timedelta(hours=2))

    assert NAME not in shown()
    erasure.refresh_from_db()
    assert erasure.again_at is None


def test_it_is_refused_while_they_work_here_or_a_hold_covers_them(world: World, leaver: User) -> None:
    with pytest.raises(proposals.StillActive, match="account is open"):
        propose(world, world.cast.auditor)
    proposal = propose(world, leaver)
    actions.put_hold(
        world.cast.platform, scope=HoldScope.ACTOR, actor_id=str(leaver.pk), reason="A court asks",
        by=world.cast.security, now=NOW,
    )  # fmt: skip
    with pytest.raises(proposals.Held):
        actions.confirm_proposal(
            proposal, by=world.cast.engineering_manager, now=NOW,
            confirmation=by_password(world.cast.engineering_manager),
        )  # fmt: skip
    assert Proposal.objects.get(pk=proposal.pk).state == "OPEN"
    assert NAME in shown()


def test_hold_that_is_put_after_the_confirmation_stops_the_database_too(world: World, leaver: User) -> None:
    proposal = propose(world, leaver)
    actions.confirm_proposal(
        proposal, by=world.cast.engineering_manager, now=NOW,
        confirmation=by_password(world.cast.engineering_manager),
    )  # fmt: skip
    actions.put_hold(world.cast.platform, scope="WORKSPACE", reason="A court asks", by=world.cast.security, now=NOW)

    cutting.go_on(PLATFORM_WORKSPACE_ID, now=NOW)

    assert Erasure.objects.get().problem.startswith("A legal hold covers")
    assert NAME in shown()


def test_who_leaves_holds_no_role_any_more(world: World) -> None:
    call_command("close_account", "devops", reason="They left")

    person = User.objects.get(username="devops")
    assert not person.is_active
    assert not Membership.objects.filter(user=person, ended_at=None).exists()
    assert last_event("account.closed").reason == "They left"
    with pytest.raises(CommandError, match="closed already"):
        call_command("close_account", "devops", reason="They left")
    with pytest.raises(CommandError, match="no account nobody"):
        call_command("close_account", "nobody", reason="They left")


def test_it_takes_two_of_the_platform(world: World, leaver: User) -> None:
    proposal = propose(world, leaver)
    for person in (world.cast.security, world.cast.auditor, world.cast.outsider):
        with pytest.raises(Denied):
            actions.confirm_proposal(proposal, by=person, now=NOW, confirmation=by_password(person))
    page = reverse("compliance:erasure-list")
    assert NAME in unescape(text_of(get(world.cast.security, page)))
    assert NAME not in unescape(text_of(get(world.cast.auditor, page)))
    given = {"person": leaver.pk, "legal_basis": "NOT_NEEDED", "reason": "They asked"}
    assert post(world.cast.auditor, page, given).status_code == 403
    assert post(world.cast.security, page, given).status_code == 409
