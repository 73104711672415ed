"""Passkeys (WebAuthn level 3), read by Yubico's fido2; what is sent to browsers and what comes back is JSON.

A challenge is not kept anywhere: it is signed for one person, one session and one purpose, says when it was made, and
counts only when it is younger than the last one that was used (`User.last_challenge`), so that none works twice.
"""

import json
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.signing import BadSignature, Signer
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from apps.accounts.models import User

LASTS = timedelta(minutes=5)
LARGEST = 16_384
CREATION, REQUEST = "creation", "request"
_VERIFIED = UserVerificationRequirement.REQUIRED
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a browser's answer that is none makes fido2's readers raise.
_UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError, NotImplementedError, struct.error,
    RecursionError,
)  # fmt: skip


class PasskeyRefused(Exception):
    """The browser's answer does not prove anything. `str()` is a sentence for people."""


@dataclass(frozen=True)
class Place:
    """Where a passkey is asked for: the portal's address as the browser has it, and the browser's session."""

    origin: str
    host: str
    session: str


@dataclass(frozen=True)
class Answer:
    """What a browser's answer proves. `challenge` is the number that must be higher than the last one used."""

    credential: AttestedCredentialData
    sign_count: int
    challenge: int


def creation_options(place: Place, user: User, known: Sequence[bytes], *, now: datetime) -> dict[str, Any]:
    """This function will say to a browser how to make a passkey, on none of the authenticators that are `known`."""
    options, _ = _server(place).register_begin(
        PublicKeyCredentialUserEntity(name=user.username, id=user.pk.bytes, display_name=str(user)),
        credentials=_read(known),
        resident_key_requirement=ResidentKeyRequirement.PREFERRED,
        user_verification=_VERIFIED,
        challenge=_challenge(place, user, CREATION, now),
    )
    return dict(options)


def request_options(place: Place, user: User, known: Sequence[bytes], *, now: datetime) -> dict[str, Any]:
    """This function will say to a browser how to use one of the passkeys that are `known`."""
    options, _ = _server(place).authenticate_begin(
        _read(known), user_verification=_VERIFIED, challenge=_challenge(place, user, REQUEST, now)
    )
    return dict(options)


def read_creation(place: Place, user: User, response: str, *, now: datetime) -> Answer:
    """This function will read a browser's answer to `creation_options`.

    Raises PasskeyRefused: it is malformed, or not of this place, person and time, or nobody was verified.
    """
    try:
        answer = RegistrationResponse.from_dict(json.loads(response))
        state, number = _state(place, user, CREATION, answer.response.client_data, now)
        data: AuthenticatorData = _server(place).register_complete(state, answer)
    except _UNREADABLE as error:
        raise _refused(error) from error
    if data.credential_data is None:
        raise PasskeyRefused("The passkey could not be read.")
    return Answer(data.credential_data, data.counter, number)


def read_request(place: Place, user: User, known: Sequence[bytes], response: str, *, now: datetime) -> Answer:
    """This function will read a browser's answer to `request_options`.

    Raises PasskeyRefused: it is malformed, or not of this place, person, time and passkeys, or nobody was verified.
    """
    try:
        answer = AuthenticationResponse.from_dict(json.loads(response))
        state, number = _state(place, user, REQUEST, answer.response.client_data, now)
        used = _server(place).authenticate_complete(state, _read(known), answer)
    except _UNREADABLE as error:
        raise _refused(error) from error
    return Answer(used, answer.response.authenticator_data.counter, number)


def is_copied(seen: int, before: int) -> bool:
    """This function will say whether a signature's count shows that two authenticators hold the same key.

    Source: WebAuthn level 3, 6.1.1. Zero stands for authenticators that do not count.
    """
    return bool(seen or before) and seen <= before


def _server(place: Place) -> Fido2Server:
    return Fido2Server(
        PublicKeyCredentialRpEntity(id=place.host, name="EAIP Operations"),
        verify_origin=lambda origin: origin == place.origin,
    )


def _read(known: Sequence[bytes]) -> list[AttestedCredentialData]:
    return [AttestedCredentialData(bytes(row)) for row in known]


def _signer(place: Place, user: User, purpose: str) -> Signer:
    return Signer(salt=f"passkey.{purpose}.{place.session}.{user.pk}")


def _challenge(place: Place, user: User, purpose: str, now: datetime) -> bytes:
    number = (now - _EPOCH) // timedelta(microseconds=1)
    return _signer(place, user, purpose).sign(f"{number}.{secrets.token_urlsafe(16)}").encode()


def _state(
    place: Place, user: User, purpose: str, client: CollectedClientData, now: datetime
) -> tuple[dict[str, Any], int]:
    """Return what fido2 checks an answer against, once the challenge in it is known to be ours, and its number."""
    try:
        number = int(_signer(place, user, purpose).unsign(client.challenge.decode()).split(".")[0])
    except BadSignature as error:
        raise PasskeyRefused("This passkey was asked for in another session, or for something else.") from error
    if not timedelta(0) <= now - (_EPOCH + timedelta(microseconds=number)) < LASTS:
        raise PasskeyRefused("It took too long until the passkey was used.")
    return {"challenge": websafe_encode(client.challenge), "user_verification": _VERIFIED}, number


def _refused(error: Exception) -> PasskeyRefused:
    return PasskeyRefused(f"The passkey was not accepted ({str(error).rstrip('.') or type(error).__name__}).")
