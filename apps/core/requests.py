from typing import Any
from uuid import UUID

from django.http import HttpRequest

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Where programs ask and nobody looks on.
FOR_PROGRAMS = ("/api/", "/metrics")


class ScopedRequest(HttpRequest):
    """A request with what the middleware puts on it, for apps that know no people. For annotations."""

    request_id: str
    workspaces: tuple[UUID, ...]
    rights: Any  # apps.workspaces.rights.Rights, which stands above
    refusal: Exception | None  # set where a refusal is told, so that the trail learns of it
