from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q


class EventQuerySet(models.QuerySet):
    def visible_in(self, workspaces: tuple[UUID, ...]) -> Self:
        return self.filter(workspace_id__in=workspaces)

    def newest_first(self) -> Self:
        return self.order_by("-recorded_at", "-event_id")

    def about(self, target_type: str, target_id: str) -> Self:
        """Return one object's whole history."""
        return self.filter(target_type=target_type, target_id=target_id)

    def matching(
        self,
        *,
        q: str = "",
        actor: str = "",
        kind: str = "",
        outcome: str = "",
        workspace: str = "",
        environment: str = "",
        service: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        object: tuple[str, str] | None = None,
    ) -> Self:
        """Return the events that meet every criterion given.

        `kind` is a kind or its noun alone; `since` is inclusive, `until` exclusive; `object` is (type, id).
        """
        found = self.about(*object) if object else self
        if q:
            found = found.filter(
                Q(summary__icontains=q) | Q(target_label__icontains=q) | Q(reason__icontains=q) | Q(request_id=q)
            )
        if actor:
            found = found.filter(Q(actor_label__icontains=actor) | Q(actor_id=actor))
        if kind:
            found = found.filter(kind=kind) if "." in kind else found.filter(kind__startswith=f"{kind}.")
        exact = {"outcome": outcome, "workspace_id": workspace, "environment_id": environment, "service_id": service}
        found = found.filter(**{name: value for name, value in exact.items() if value})
        if since:
            found = found.filter(recorded_at__gte=since)
        return found.filter(recorded_at__lt=until) if until else found
