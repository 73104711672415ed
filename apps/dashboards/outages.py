"""What the portal leans on and lacks, in the words that every page shows; read with a query that is made anyway."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import JSONObject, Now

from apps.health.dependencies import leanings
from apps.health.models import Dependency

# Looks are ten seconds apart; after this long without one, no worker runs.
SILENCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Outage:
    what: str
    since: datetime
    meanwhile: str


def annotated(workspaces: "QuerySet[Any]") -> "QuerySet[Any]":
    """Return the workspaces, each with the rows of `lacking`, which are the same for all."""
    is_stale = Q(looked_at__lt=Now() - SILENCE)
    # What is no longer configured is no longer looked at.
    known = Dependency.objects.filter(name__in=leanings())
    rows = known.filter(is_stale | Q(down_since__isnull=False)).order_by("name")
    stale = ExpressionWrapper(is_stale, output_field=BooleanField())
    return workspaces.annotate(
        lacking=ArraySubquery(
            rows.values(row=JSONObject(name="name", since="down_since", seen="looked_at", stale=stale))
        )
    )


def outages_of(workspace: Any) -> list[Outage]:
    """Return what is lacking; while no worker looks, only that is known."""
    if stale := [row for row in workspace.lacking if row["stale"]]:
        return [
            Outage(
                "No worker has been heard of",
                datetime.fromisoformat(max(row["seen"] for row in stale)),
                "Nothing is lost: what is asked for stays, and goes on when a worker runs again.",
            )
        ]
    return [
        Outage(f"The {leaning.label} can't be reached", datetime.fromisoformat(row["since"]), leaning.meanwhile)
        for row in workspace.lacking
        if (leaning := leanings().get(row["name"]))
    ]
