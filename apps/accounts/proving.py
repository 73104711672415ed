"""Where requests and confirmations meet: what a form carries, what the session remembers, what is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest

from apps.accounts import actions, permissions
from apps.accounts.actions import Attempt
from apps.accounts.confirmation import Confirmation, Given, remember, remembered
from apps.accounts.enums import FactorKind
from apps.accounts.passkeys import LARGEST, Place
from apps.accounts.requests import AuthedRequest
from apps.audit.fingerprints import fingerprint
from apps.audit.source import Identity
from apps.core.verdict import Verdict

_SIGNED_IN = "signed_in"


@dataclass(frozen=True)
class ProofAsk:
    """What a form asks for so that its sender confirms that it is them (templates/accounts/_proof.html)."""

    verdict: Verdict
    confirmation: Confirmation | None
    kinds: frozenset[str]
    needs_factor: bool
    error: str

    @property
    def has_passkey(self) -> bool:
        return FactorKind.PASSKEY in self.kinds

    @property
    def has_app(self) -> bool:
        return FactorKind.TOTP in self.kinds


def proof_of(request: AuthedRequest, *, now: datetime) -> Attempt:
    """This function will confirm by what the form carries; else it returns what the session remembers."""
    given = Given(
        request.POST.get("code", "")[:64].strip(),
        request.POST.get("password", "")[:4096],
        request.POST.get("passkey", "")[:LARGEST],
    )
    if not given:
        return Attempt(remembered(request.session))
    return actions.confirm(request.user, given, place=place_of(request), now=now)


def keep_proof(request: AuthedRequest, confirmation: Confirmation | None) -> None:
    """This function will let the session remember a confirmation that it does not know; the answer is committed."""
    if confirmation is not None and confirmation != remembered(request.session):
        remember(request.session, confirmation)


def try_confirmed(request: AuthedRequest, act: Callable[[Confirmation | None], object], *, now: datetime) -> str:
    """This function will do what may need a confirmation, with the one that the form carries or the session remembers.

    Returns why it does not count, for the form to say, and empty once it is done. A proof that was accepted is used
    up: the session remembers it; the answer is to be committed (`kept`).
    """
    if (attempt := proof_of(request, now=now)).error:
        return attempt.error
    try:
        act(attempt.confirmation)
    except permissions.NotConfirmed as refusal:
        request.refusal = refusal
        keep_proof(request, attempt.confirmation)
        return refusal.sentence
    keep_proof(request, attempt.confirmation)
    return ""


def proof_ask(request: AuthedRequest, *, now: datetime, error: str = "", needs_factor: bool = False) -> ProofAsk:
    """This function will say what a form has to ask for (one query)."""
    kinds = dict(request.user.second_factors.values_list("pk", "kind"))
    confirmation = remembered(request.session)
    verdict = permissions.is_confirmed(
        request.user, confirmation, factors=kinds.keys(), now=now, needs_factor=needs_factor
    )
    return ProofAsk(verdict, confirmation, frozenset(kinds.values()), needs_factor, error)


def place_of(request: AuthedRequest) -> Place:
    host = request.get_host()
    scheme = "https" if settings.HTTPS else request.scheme
    return Place(f"{scheme}://{host}", host.rsplit(":", 1)[0], str(request.session.session_key))


def refused_with(request: AuthedRequest) -> int:
    """This function will return the status of an answer that tells why a confirmation does not count."""
    refusal = getattr(request, "refusal", None)
    return refusal.status if isinstance(refusal, permissions.NotConfirmed) else 422


def keep_sign_in(request: HttpRequest, *, method: str, now: datetime) -> None:
    """This function will let a new session remember how and when its person signed in."""
    request.session[_SIGNED_IN] = [method, now.isoformat()]


def identity_of(request: HttpRequest) -> Identity:
    """This function will return how the person of a request proved who they are, for the ledger; empty for nobody."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    method, since = request.session.get(_SIGNED_IN, ("", ""))
    told = {
        "id": str(user.pk),
        "method": method,
        "session": fingerprint(request.session.session_key or ""),
        "authenticated_at": since,
    }
    confirmation = remembered(request.session)
    if confirmation is not None and confirmation.person == user.pk:
        told |= {"confirmed_with": confirmation.proof.value, "confirmed_at": confirmation.at.isoformat()}
    return told
