"""What the frame of every page shows of the whole portal, loaded once for a request."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone
from psycopg import Cursor

from apps.accounts.requests import AuthedRequest
from apps.dashboards import outages, places
from apps.dashboards.awaiting import MOST_COUNTED, awaits
from apps.dashboards.outages import Outage
from apps.deployments.enums import OPEN
from apps.environments.models import Freeze

# SQL, since every page asks it, and the same through the ORM takes longer to write out than all else that a refusal
# does.
FRAME = """
SELECT workspace.id, workspace.name,
    (SELECT count(*) FROM deployments_deployment deployment
     WHERE deployment.workspace_id = workspace.id AND deployment.state IN ({open})),
    (SELECT count(*) FROM (SELECT FROM approvals_promotion promotion
     JOIN releases_release release ON release.id = promotion.release_id
     WHERE promotion.workspace_id = workspace.id AND {awaits}
     LIMIT {most}) awaiting),
    EXISTS (SELECT FROM environments_freeze frozen
            WHERE (frozen.workspace_id = ANY (%(workspaces)s::uuid[]) OR frozen.scope = 'ALL')
                AND frozen.lifted_at IS NULL AND frozen.frozen_at <= %(now)s::timestamptz
                AND (frozen.ends_at IS NULL OR frozen.ends_at > %(now)s::timestamptz)),
    ({lacking})::text
FROM workspaces_workspace workspace
WHERE workspace.id = ANY (%(workspaces)s::uuid[])
ORDER BY workspace.name
""".format(  # noqa: S608  constants of the code
    # Written out, so that the planner sees that the indexes of what is open cover them.
    open=", ".join(f"'{state}'" for state in OPEN),
    awaits=awaits("%(me)s::uuid"),
    lacking=outages.LACKING,
    most=MOST_COUNTED + 1,
)


class Workspace(NamedTuple):
    """A workspace with its figures. `is_frozen` is of all of them; `lacking`, in JSON, of the portal."""

    pk: UUID
    name: str
    deploying: int
    awaiting_me: int
    is_frozen: bool
    lacking: str


@dataclass
class Navigation:
    """One query, made when first asked for, and another one while a freeze is in force."""

    request: AuthedRequest
    now: datetime

    @property
    def everywhere(self) -> tuple[UUID, ...]:
        return self.request.workspaces

    @cached_property
    def workspaces(self) -> list[Workspace]:
        values = {
            "workspaces": list(self.everywhere),
            "me": self.request.user.pk,
            "now": self.now,
            **outages.asked(),
        }
        connection.ensure_connection()
        # psycopg's own cursor, since only that prepares a statement: planning costs more than the answer.
        with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
            rows = cursor.execute(FRAME, values, prepare=True).fetchall()
        return [Workspace(*row) for row in rows]

    @property
    def awaiting_me(self) -> int:
        """How much awaits the viewer, where the address narrows the page: there."""
        return sum(workspace.awaiting_me for workspace in ([self.chosen] if self.chosen else self.workspaces))

    @cached_property
    def outages(self) -> list[Outage]:
        return outages.outages_of(json.loads(self.workspaces[0].lacking)) if self.workspaces else []

    @cached_property
    def freezes(self) -> list[Freeze]:
        is_frozen = any(workspace.is_frozen for workspace in self.workspaces)
        return places.frozen_now(self.everywhere, self.now) if is_frozen else []

    @cached_property
    def chosen(self) -> Workspace | None:
        """The workspace that the address narrows the page to."""
        wanted = self.request.GET.get("ws", "")
        return next((workspace for workspace in self.workspaces if str(workspace.pk) == wanted), None)


def navigation_of(request: Any) -> Navigation:
    """Return the request's navigation, the same one each time."""
    if not hasattr(request, "navigation"):
        request.navigation = Navigation(request, timezone.now())  # noqa: TID251  the request's own moment
    navigation: Navigation = request.navigation
    return navigation
