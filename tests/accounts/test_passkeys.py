"""What a browser's answer must be to count. No database: the row's conditions are in test_factors.py."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.accounts import passkeys
from apps.accounts.models import User
from apps.accounts.passkeys import PasskeyRefused, Place
from tests.accounts.authenticator import Authenticator
from tests.cast import NOW

PLACE = Place("https://portal.example", "portal.example", "session")
PERSON = User(username="devops")


@pytest.fixture
def key():
    return Authenticator(PLACE.origin)


@pytest.fixture
def known(key):
    return [bytes(_create(key).credential)]


def _create(key, *, at=NOW, **asked):
    options = passkeys.creation_options(PLACE, PERSON, [], now=NOW)
    return passkeys.read_creation(**{"place": PLACE, "user": PERSON, **asked}, response=key.create(options), now=at)


def _use(key, known, *, at=NOW, **asked):
    options = passkeys.request_options(PLACE, PERSON, known, now=NOW)
    return passkeys.read_request(
        **{"place": PLACE, "user": PERSON, **asked}, known=known, response=key.get(options), now=at
    )


def test_a_passkey_is_made_and_used(key, known):
    answer = _use(key, known)

    assert answer.credential.credential_id == key.credential_id
    assert (answer.sign_count, answer.challenge) == (1, int(NOW.timestamp() * 1_000_000))


def test_options_ask_for_verification_and_name_what_is_known(known):
    asked = passkeys.request_options(PLACE, PERSON, known, now=NOW)["publicKey"]

    assert (asked["userVerification"], asked["rpId"], len(asked["allowCredentials"])) == (
        "required", "portal.example", 1,
    )  # fmt: skip


@pytest.mark.parametrize("act", [_create, lambda key, **asked: _use(key, asked.pop("known"), **asked)])
@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        ({"origin": "https://portal.example.evil.example"}, {}, "Invalid origin"),
        ({"origin": "http://portal.example"}, {}, "Invalid origin"),
        ({"verifies": False}, {}, "User verification required"),
        ({}, {"place": replace(PLACE, session="another")}, "in another session"),
        ({}, {"place": replace(PLACE, host="other.example")}, "Wrong RP ID"),
        ({}, {"user": User(username="somebody else")}, "in another session"),
        ({}, {"at": NOW + timedelta(minutes=5)}, "took too long"),
        ({}, {"at": NOW - timedelta(seconds=1)}, "took too long"),
    ],
)
def test_what_proves_nothing_is_refused(key, known, act, changes, asked, words):
    for name, value in changes.items():
        setattr(key, name, value)

    with pytest.raises(PasskeyRefused, match=words):
        act(key, **({"known": known} if act is not _create else {}), **asked)


def test_another_key_under_the_same_id_is_refused(key, known):
    thief = Authenticator(PLACE.origin)

    with pytest.raises(PasskeyRefused, match="Invalid signature"):
        _use(thief, known)


def test_a_passkey_that_is_not_known_is_refused(key):
    with pytest.raises(PasskeyRefused, match="Unknown credential"):
        _use(key, [])


def test_a_challenge_for_one_purpose_serves_no_other(key, known):
    options = passkeys.creation_options(PLACE, PERSON, [], now=NOW)
    options["publicKey"] = {**options["publicKey"], "rpId": PLACE.host}

    with pytest.raises(PasskeyRefused, match="for something else"):
        passkeys.read_request(PLACE, PERSON, known, key.get(options), now=NOW)


@pytest.mark.parametrize(
    "response", ["", "nonsense", "[]", "{}", '{"id": 1}', "null", '{"rawId": "AA", "id": "AA", "response": {}}']
)
def test_what_is_no_answer_is_refused(known, response):
    for read in (
        lambda: passkeys.read_request(PLACE, PERSON, known, response, now=NOW),
        lambda: passkeys.read_creation(PLACE, PERSON, response, now=NOW),
    ):
        with pytest.raises(PasskeyRefused):
            read()


@pytest.mark.parametrize(
    ("seen", "before", "copied"),
    [(1, 0, False), (5, 4, False), (4, 4, True), (3, 4, True), (0, 4, True), (0, 0, False)],
)
def test_a_count_that_does_not_grow_shows_a_copy(seen, before, copied):
    assert passkeys.is_copied(seen, before) is copied
