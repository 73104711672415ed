"""Second factors: registered, used once, removed; by the actions, and on the pages."""

import json
import re
from base64 import b32decode
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts import actions, codes, passkeys
from apps.accounts.actions.confirmations import MOST_FAILURES, PAUSE
from apps.accounts.confirmation import Given
from apps.accounts.enums import Proof
from apps.accounts.models import RecoveryCode, SecondFactor
from apps.accounts.passkeys import Place
from apps.accounts.permissions import NotConfirmed, is_confirmed
from apps.audit.models import AuditEvent
from tests.accounts.authenticator import Authenticator
from tests.accounts.factors import SECRET, by_password, code_at, register_app
from tests.approvals.test_races import at_once
from tests.cast import NOW, PASSWORD
from tests.drill import signed_in
from tests.world import last_event

PLACE = Place("http://testserver", "testserver", "session")


def confirm(person, *, now=NOW, **given):
    return actions.confirm(person, Given(**given), place=PLACE, now=now)


def register_passkey(person, key):
    options = passkeys.creation_options(PLACE, person, [], now=NOW)
    answer = passkeys.read_creation(PLACE, person, key.create(options), now=NOW)
    return actions.register_passkey(person, name="Key", answer=answer, confirmation=by_password(person), now=NOW).factor


def use_passkey(person, key, factor, *, now):
    options = passkeys.request_options(PLACE, person, [bytes(factor.credential)], now=now)
    return key.get(options)


@pytest.mark.django_db
def test_an_app_is_registered_with_recovery_codes_and_nothing_readable_is_kept(cast):
    made = register_app(cast.devops)

    factor = SecondFactor.objects.get()
    assert SECRET not in bytes(factor.secret)
    assert len(made.recovery_codes) == RecoveryCode.objects.count() == codes.RECOVERY_CODES
    assert not RecoveryCode.objects.filter(digest__in=made.recovery_codes).exists()
    event = last_event("factor.registered")
    assert (event.actor_id, event.change["name"]["after"]) == (str(cast.devops.pk), "Phone")


@pytest.mark.django_db
def test_a_code_confirms_once(cast):
    factor, code = register_app(cast.customer_operator).factor, code_at(SECRET, NOW)

    first, second = (confirm(cast.customer_operator, code=code) for _ in range(2))

    assert (first.confirmation.proof, first.confirmation.factor) == (Proof.TOTP, factor.pk)
    assert second.confirmation is None
    assert "was used already" in second.error
    assert last_event("confirmation.given").change["confirmed_with"]["after"] == "TOTP"
    assert last_event("confirmation.refused").outcome == "REFUSED"


@pytest.mark.django_db
def test_a_recovery_code_confirms_once_and_a_new_set_ends_the_old(cast):
    first, second, *_ = register_app(cast.devops).recovery_codes

    given = confirm(cast.devops, code=first.lower())
    again = confirm(cast.devops, code=first)
    actions.renew_recovery_codes(cast.devops, confirmation=given.confirmation, now=NOW)

    assert given.confirmation.proof == Proof.RECOVERY_CODE
    assert again.error.startswith("This is none of your recovery codes, or it was used already.")
    assert confirm(cast.devops, code=second).confirmation is None


@pytest.mark.django_db
def test_the_password_confirms_only_who_has_no_factor(cast):
    assert confirm(cast.devops, password=PASSWORD).confirmation.proof == Proof.PASSWORD
    assert "not your password" in confirm(cast.devops, password="wrong").error
    register_app(cast.devops)
    assert "You have a second factor" in confirm(cast.devops, password=PASSWORD).error


@pytest.mark.django_db
def test_after_too_many_wrong_ones_nothing_is_looked_at_for_a_while(cast):
    register_app(cast.devops)
    code = code_at(SECRET, NOW + PAUSE)

    errors = [confirm(cast.devops, code="000000").error for _ in range(MOST_FAILURES + 1)]

    assert "Attempts left: 4." in errors[0]
    assert "No more is looked at for 15 min." in errors[-2]
    assert "5 attempts in a row were wrong" in errors[-1]
    assert AuditEvent.objects.filter(kind="confirmation.refused").count() == MOST_FAILURES
    assert confirm(cast.devops, code=code, now=NOW + PAUSE - timedelta(seconds=1)).confirmation is None
    assert confirm(cast.devops, code=code, now=NOW + PAUSE).confirmation


@pytest.mark.django_db
def test_a_passkey_confirms_once_and_a_copied_one_does_not(cast):
    key = Authenticator(PLACE.origin)
    factor = register_passkey(cast.devops, key)
    later = NOW + timedelta(minutes=1)
    response = use_passkey(cast.devops, key, factor, now=later)

    first, replayed = (confirm(cast.devops, passkey=response, now=later) for _ in range(2))
    key.count = 0
    copied = use_passkey(cast.devops, key, factor, now=later + timedelta(seconds=1))

    assert first.confirmation.proof == Proof.PASSKEY
    assert "seems to have been copied" in replayed.error
    assert "seems to have been copied" in confirm(cast.devops, passkey=copied, now=later + timedelta(minutes=1)).error


@pytest.mark.django_db
def test_an_answer_of_a_passkey_that_does_not_count_is_used_up_too(cast):
    key = Authenticator(PLACE.origin, count=None)
    factor = register_passkey(cast.devops, key)
    later = NOW + timedelta(minutes=1)
    response = use_passkey(cast.devops, key, factor, now=later)

    assert confirm(cast.devops, passkey=response, now=later).confirmation
    assert "was used already" in confirm(cast.devops, passkey=response, now=later).error


@pytest.mark.django_db
def test_nothing_changes_without_a_confirmation_that_counts(cast):
    factor = register_app(cast.devops).factor
    stale = confirm(cast.devops, code=code_at(SECRET, NOW)).confirmation

    for confirmation, now in ((None, NOW), (by_password(cast.devops), NOW), (stale, NOW + timedelta(minutes=5))):
        with pytest.raises(NotConfirmed):
            actions.remove_factor(factor, by=cast.devops, confirmation=confirmation, now=now)
    actions.remove_factor(factor, by=cast.devops, confirmation=stale, now=NOW)

    assert not SecondFactor.objects.exists()
    assert not RecoveryCode.objects.exists()
    assert last_event("factor.removed").change["name"]["before"] == "Phone"
    verdict = is_confirmed(cast.devops, stale, factors=(), now=NOW)
    assert verdict.reasons[0].code == "factor_removed"


@pytest.mark.django_db
def test_an_operator_removes_what_somebody_lost(cast):
    register_app(cast.devops)

    call_command("remove_factors", "devops", reason="Lost the phone; known by voice", verbosity=0)

    assert not SecondFactor.objects.exists()
    event = last_event("factor.removed")
    assert (event.actor_type, event.reason) == ("SYSTEM", "Lost the phone; known by voice")
    with pytest.raises(CommandError, match="has no second factor"):
        call_command("remove_factors", "devops", reason="Again", verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_one_code_at_once_one_is_confirmed(world):
    person = world.cast.devops
    with world.everything():
        register_app(person)
    code = code_at(SECRET, NOW)

    results = at_once(world, *[lambda: confirm(person, code=code)] * 2)

    assert sorted(result.confirmation is None for result in results) == [False, True]


@pytest.mark.django_db
def test_an_app_is_registered_and_removed_on_the_pages(cast):
    client = signed_in(cast.devops)
    page = client.get("/account/factors/app/").content.decode()
    signed = re.search(r'name="secret" value="([^"]+)"', page)[1]
    secret = b32decode(signed.split(":")[0])
    given = {"name": "Phone", "secret": signed, "app_code": code_at(secret, timezone.now())}

    without = client.post("/account/factors/app/", given)
    wrong = client.post("/account/factors/app/", {**given, "password": "wrong"})
    done = client.post("/account/factors/app/", {**given, "password": PASSWORD})

    assert (without.status_code, wrong.status_code, done.status_code) == (422, 422, 200)
    assert "Confirm that it is you" in without.content.decode()
    assert "Attempts left: 4." in wrong.content.decode()
    assert "not shown again" in done.content.decode()
    cast.devops.refresh_from_db()
    assert cast.devops.failed_proofs == 0
    factor = SecondFactor.objects.get()
    assert "Phone" in client.get("/account/factors/").content.decode()
    recovery = re.findall(r"<li>([A-Z2-7-]{19})</li>", done.content.decode())
    address = f"/account/factors/{factor.pk}/removal/"
    assert client.post(address, {"password": PASSWORD}).status_code == 422
    assert client.post(address, {"code": recovery[0]}).status_code == 302
    assert not SecondFactor.objects.exists()


@pytest.mark.django_db
def test_a_refused_attempt_stays_counted(cast):
    factor = register_app(cast.devops).factor

    answer = signed_in(cast.devops).post(f"/account/factors/{factor.pk}/removal/", {"code": "000000"})

    cast.devops.refresh_from_db()
    assert (answer.status_code, cast.devops.failed_proofs) == (422, 1)
    assert last_event("confirmation.refused").actor_id == str(cast.devops.pk)


@pytest.mark.django_db
def test_a_session_gets_another_key_with_its_confirmation_and_forgets_it_with_the_factor(cast):
    client = signed_in(cast.devops)
    before = client.session.session_key
    factor = register_app(cast.devops).factor
    code = code_at(SECRET, timezone.now())

    client.post("/account/factors/recovery-codes/", {"code": code})

    assert client.session.session_key != before
    assert "You confirmed that it is you with an authenticator app" in (
        client.get(f"/account/factors/{factor.pk}/removal/").content.decode()
    )


@pytest.mark.django_db
def test_a_passkey_is_registered_by_what_the_browser_made(cast):
    client, key = signed_in(cast.devops), Authenticator(PLACE.origin)
    options = json.loads(client.get("/account/factors/passkey/creation/").content)

    given = {"name": "Key", "creation": key.create(options), "password": PASSWORD}
    done = client.post("/account/factors/passkey/", given)

    assert done.status_code == 200, done.content
    assert SecondFactor.objects.get().kind == "PASSKEY"
    assert client.post("/account/factors/passkey/", {"name": "Key", "password": PASSWORD}).status_code == 422
    assert client.get("/account/factors/passkey/nothing/").status_code == 404
