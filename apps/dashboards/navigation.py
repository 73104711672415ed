"""What the frame of every page shows of the whole portal, loaded once for a request."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.accounts.requests import AuthedRequest
from apps.approvals.inbox import inbox
from apps.approvals.models import Promotion
from apps.dashboards import attention, outages, places
from apps.dashboards.outages import Outage
from apps.environments.models import Freeze


@dataclass
class Navigation:
    """Three queries, each made when first asked for.

    Workspaces with figures and with what the portal leans on and lacks, freezes in force, and what I may approve.
    """

    request: AuthedRequest
    now: datetime

    @property
    def everywhere(self) -> tuple[UUID, ...]:
        return self.request.workspaces

    @cached_property
    def workspaces(self) -> list[Any]:
        return list(outages.annotated(attention.workspaces_with_figures(self.everywhere)))

    @cached_property
    def outages(self) -> list[Outage]:
        return outages.outages_of(self.workspaces[0]) if self.workspaces else []

    @cached_property
    def freezes(self) -> list[Freeze]:
        return places.frozen_now(self.everywhere, self.now)

    @cached_property
    def awaiting(self) -> list[Promotion]:
        return list(inbox(self.request.user, self.everywhere).order_by("requested_at"))

    @cached_property
    def chosen(self) -> Any:
        """The workspace that the address narrows the page to."""
        wanted = self.request.GET.get("ws", "")
        return next((workspace for workspace in self.workspaces if str(workspace.pk) == wanted), None)


def navigation_of(request: Any) -> Navigation:
    """Return the request's navigation, the same one each time."""
    if not hasattr(request, "navigation"):
        request.navigation = Navigation(request, timezone.now())  # noqa: TID251  the request's own moment
    navigation: Navigation = request.navigation
    return navigation
