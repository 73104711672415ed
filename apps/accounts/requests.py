from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from apps.accounts.models import User


class AuthedRequest(HttpRequest):
    """A request as every view sees it that asks for sign-in: the middleware has put these on it. For annotations."""

    user: User
    htmx: HtmxDetails
    workspaces: tuple[UUID, ...]
    rights: Any  # apps.workspaces.rights.Rights, which stands above this app
    refusal: Exception  # set by a view that tells a refusal itself, so that the trail learns of it
