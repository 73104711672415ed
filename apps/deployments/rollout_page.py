"""What is shown of a roll-out: its waves, and each environment as it stands in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.deployments import permissions, rollouts, waves
from apps.deployments.models import Deployment, Rollout, RolloutLane
from apps.deployments.release_page import asks_of, stops_of
from apps.deployments.waves import Place, Progress
from apps.environments.models import Lane
from apps.releases.models import Release
from apps.workspaces.rights import Rights

_WORDS = {
    Progress.WAITING: ("idle", "Waits for its wave"),
    Progress.DONE: ("ok", "Runs it"),
    Progress.FAILED: ("bad", "Failed"),
}


@dataclass(frozen=True)
class ShownPlace:
    row: RolloutLane
    place: Place
    attempt: Deployment | None

    @property
    def tone(self) -> str:
        return self.row.promotion.tone if self._is_under_way and self.row.promotion else _WORDS[self.place.progress][0]

    @property
    def word(self) -> str:
        return self.row.promotion.label if self._is_under_way and self.row.promotion else _WORDS[self.place.progress][1]

    @property
    def _is_under_way(self) -> bool:
        return self.place.progress == Progress.UNDER_WAY


@dataclass(frozen=True)
class ShownWave:
    number: int
    places: Sequence[ShownPlace]

    @property
    def done(self) -> int:
        return sum(shown.place.progress == Progress.DONE for shown in self.places)


def rollout_page(rollout: Rollout, *, by: User, now: datetime) -> dict[str, Any]:
    """This function will load what the page shows. Queries: the same number for every roll-out."""
    return {**progress_context(rollout, now=now), "may_steer": permissions.may_steer(by, rollout)}


def progress_context(rollout: Rollout, *, now: datetime) -> dict[str, Any]:
    """This function will load the live part: waves, environments, and what happens next."""
    rows = list(rollout.lanes.in_order())
    asked = [row.promotion_id for row in rows if row.promotion_id]
    attempts = Deployment.objects.filter(promotion_id__in=asked).order_by("promotion_id", "-number")
    last = {attempt.promotion_id: attempt for attempt in attempts.distinct("promotion_id")}
    shown = [ShownPlace(row, rollouts.place_of(row, rollout.release), last.get(row.promotion_id)) for row in rows]
    places = [found.place for found in shown]
    return {
        "rollout": rollout,
        "waves": [ShownWave(wave, list(of)) for wave, of in groupby(shown, key=lambda found: found.place.wave)],
        "done": sum(place.progress == Progress.DONE for place in places),
        "total": len(places),
        "move": waves.next_move(places, pause=rollout.pause, released=rollout.released_wave, now=now),
    }


def lanes_for(release: Release, workspace_id: UUID, *, rights: Rights, now: datetime) -> list[Lane]:
    """This function will return the lanes of a workspace that the release may be asked for now, first tier first."""
    stops = stops_of(release, workspaces=(workspace_id,), now=now)
    return [stop.lane for stop, verdict in asks_of(release, stops, rights).items() if verdict]
