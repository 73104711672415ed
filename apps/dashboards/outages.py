"""What the portal leans on and lacks, in the words that every page shows; read with a query that is made anyway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.health.dependencies import leanings

# Looks are ten seconds apart; after this long without one, no worker runs.
SILENCE = timedelta(seconds=60)
LACKING = """
    SELECT COALESCE(json_agg(json_build_object('name', name, 'since', down_since, 'seen', looked_at,
        'stale', looked_at < now() - %(silence)s::interval) ORDER BY name), '[]')
    FROM health_dependency
    WHERE name = ANY (%(leanings)s::text[]) AND (down_since IS NOT NULL OR looked_at < now() - %(silence)s::interval)
"""


@dataclass(frozen=True)
class Outage:
    what: str
    since: datetime
    meanwhile: str


def asked() -> dict[str, object]:
    """Return the values that LACKING asks for."""
    # What is no longer configured is no longer looked at.
    return {"leanings": list(leanings()), "silence": SILENCE}


def outages_of(lacking: Sequence[Mapping[str, Any]]) -> list[Outage]:
    """Return what is lacking, of the rows of LACKING; while no worker looks, only that is known."""
    if stale := [row for row in lacking if row["stale"]]:
        return [
            Outage(
                "No worker has been heard of",
                datetime.fromisoformat(max(row["seen"] for row in stale)),
                "Nothing is lost: what is asked for stays, and goes on when a worker runs again.",
            )
        ]
    return [
        Outage(f"The {leaning.label} can't be reached", datetime.fromisoformat(row["since"]), leaning.meanwhile)
        for row in lacking
        if (leaning := leanings().get(row["name"]))
    ]
