"""Who asks: by a token, or by a signature over the bytes that were sent."""

import hashlib
import hmac
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest

from apps.accounts.enums import Capability
from apps.api.problems import NotAuthenticated, ScraperRefused
from apps.audit.actors import Actor
from apps.releases.models import Service
from apps.workspaces import rights
from apps.workspaces.actions import digest_of
from apps.workspaces.models import ApiToken
from apps.workspaces.scope import workspace_scope


def token_of(request: HttpRequest, now: datetime) -> ApiToken:
    """This function will return the token that the request carries, and set who acts in it.

    Raises NotAuthenticated: there is none, or it is unknown, expired or revoked.
    """
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise NotAuthenticated("Send a token: Authorization: Bearer eaip_...")
    digest = digest_of(text.strip())
    workspace_id = _ask("SELECT workspace_of_token(%s)", digest)
    if workspace_id is None:
        raise NotAuthenticated("This token is not valid, or no longer.")
    with workspace_scope([workspace_id]):
        token = ApiToken.objects.usable(now).select_related("workspace").filter(digest=digest).first()
    if token is None:
        raise NotAuthenticated("This token is not valid, or no longer.")
    request.actor = token.actor  # type: ignore[attr-defined]  # read when it is refused
    request.identity = {  # type: ignore[attr-defined]  # read by eaip/middleware.py
        "id": str(token.pk), "method": "token", "token": str(token.pk), "authenticated_at": now.isoformat(),
        "on_behalf_of": str(token.created_by_id),
    }  # fmt: skip
    request.workspaces = (workspace_id,)  # type: ignore[attr-defined]
    return token


def require_export(token: ApiToken) -> None:
    """This function will see that the token may take the trail, or parts of it, out of its workspace. Raises Denied."""
    rights.may(token.actor, Capability.AUDIT_EXPORT, token.workspace_id).require()


def require_scraper(request: HttpRequest) -> None:
    """This function will see that the request carries METRICS_TOKEN.

    Raises Http404: where none is set, nobody may ask. Raises ScraperRefused: it carries another, or none.
    """
    if not settings.METRICS_TOKEN:
        raise Http404
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(text.strip().encode(), settings.METRICS_TOKEN.encode()):
        raise ScraperRefused("Send the token of the setting METRICS_TOKEN: Authorization: Bearer ...")


def webhook_secret(service_id: UUID) -> str:
    """This function will return the secret that a service's repository signs with; derived, so kept nowhere."""
    return hmac.new(settings.SECRET_KEY.encode(), f"webhook:{service_id}".encode(), hashlib.sha256).hexdigest()


def webhook_actor(service: Service) -> Actor:
    return Actor("SYSTEM", f"webhook:{service.slug}", f"Git webhook of {service.name}")


def service_of_webhook(request: HttpRequest, slug: str, body: bytes) -> Service:
    """This function will return the service whose secret signed the body, and set who acts in the request.

    Raises NotAuthenticated: the signature is missing or wrong, or there is no such service.
    """
    sent = request.headers.get("X-Hub-Signature-256", "")
    workspace_id = _ask("SELECT workspace_of_service(%s)", slug)
    service = None
    if workspace_id is not None:
        with workspace_scope([workspace_id]):
            service = Service.objects.get(slug=slug)
    # An unknown service costs the same work, so that the time tells nothing either.
    secret = webhook_secret(service.pk if service else UUID(int=0))
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode()) or service is None:
        raise NotAuthenticated("The signature does not match the body (X-Hub-Signature-256).")
    request.actor = actor = webhook_actor(service)  # type: ignore[attr-defined]
    request.identity = {"id": actor.id, "method": "signature"}  # type: ignore[attr-defined]
    request.workspaces = (service.workspace_id,)  # type: ignore[attr-defined]
    return service


def _ask(question: str, value: str) -> UUID | None:
    if "\x00" in value:
        return None
    with connection.cursor() as cursor:
        cursor.execute(question, [value])
        return cursor.fetchone()[0]
