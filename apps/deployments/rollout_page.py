"""What is shown of a roll-out: its waves, and each environment as it stands in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.deployments import permissions, rollouts, waves
from apps.deployments.enums import RolloutLaneState
from apps.deployments.models import Deployment, GuestPart, Rollout, RolloutLane
from apps.deployments.release_page import asks_of, stops_of
from apps.deployments.waves import Move, Place, Progress, Step
from apps.environments.models import Lane
from apps.releases.models import Release
from apps.workspaces.models import Workspace
from apps.workspaces.rights import Rights

_WORDS = {
    Progress.WAITING: ("idle", "Waits for its wave"),
    Progress.HELD: ("wait", "Held"),
    Progress.LEFT: ("idle", "Left"),
    Progress.DONE: ("ok", "Runs it"),
    Progress.FAILED: ("bad", "Failed"),
}


@dataclass(frozen=True)
class ShownPlace:
    row: RolloutLane
    place: Place
    attempt: Deployment | None
    workspace: str

    @property
    def tone(self) -> str:
        return self.row.promotion.tone if self._is_under_way and self.row.promotion else _WORDS[self.place.progress][0]

    @property
    def word(self) -> str:
        return self.row.promotion.label if self._is_under_way and self.row.promotion else _WORDS[self.place.progress][1]

    @property
    def note(self) -> str:
        """Return why it failed, or why its workspace holds it or left."""
        return self.place.why or (self.row.reason if self.row.state != RolloutLaneState.IN else "")

    @property
    def _is_under_way(self) -> bool:
        return self.place.progress in (Progress.ASKED, Progress.UNDER_WAY)


@dataclass(frozen=True)
class Group:
    """Environments that are counted together: a wave, or a workspace's part."""

    name: str
    places: Sequence[ShownPlace]

    @property
    def done(self) -> int:
        return sum(shown.place.progress == Progress.DONE for shown in self.places)

    @property
    def total(self) -> int:
        return sum(shown.place.progress != Progress.LEFT for shown in self.places)


@dataclass(frozen=True)
class Part(Group):
    """What one workspace has in a roll-out; `may_decide` says whether holding or leaving is the viewer's."""

    slug: str
    may_decide: bool


def rollout_page(
    rollout: Rollout, *, by: User, workspaces: tuple[UUID, ...], rights: Rights, now: datetime
) -> dict[str, Any]:
    """This function will load what the page shows. Queries: the same number for every roll-out."""
    context = progress_context(rollout, workspaces=workspaces, now=now)
    shown = [place for wave in context["waves"] for place in wave.places]
    parts = [
        Part(
            name=workspace.name,
            places=[place for place in shown if place.row.workspace_id == workspace.pk],
            slug=workspace.slug,
            may_decide=rollout.is_open and workspace.pk in rollout.guests and _decides(rights, workspace.pk),
        )
        for workspace in context["owners"]
    ]
    is_ours = rollout.workspace_id in workspaces
    return {**context, "parts": parts, "is_ours": is_ours, "may_steer": permissions.may_steer(by, rollout)}


def progress_context(rollout: Rollout, *, workspaces: tuple[UUID, ...], now: datetime) -> dict[str, Any]:
    """This function will load the live part: waves, environments, and what happens next.

    Who does not see all workspaces is told of their own environments alone, by name and by number.
    """
    owners = _owners(rollout, workspaces)
    rank = {workspace.pk: (number, workspace.name) for number, workspace in enumerate(owners)}
    rows = [row for row in rollout.lanes.visible_in(workspaces).in_order() if row.workspace_id in rank]
    rows.sort(key=lambda row: (row.wave, rank[row.workspace_id][0]))
    asked = [row.promotion_id for row in rows if row.promotion_id]
    attempts = Deployment.objects.visible_in(workspaces).filter(promotion_id__in=asked)
    last = {
        attempt.promotion_id: attempt
        for attempt in attempts.order_by("promotion_id", "-number").distinct("promotion_id")
    }
    shown = [
        ShownPlace(row, rollouts.place_of(row, rollout.release), last.get(row.promotion_id), rank[row.workspace_id][1])
        for row in rows
    ]
    everything = Group("", shown)
    return {
        "rollout": rollout,
        "waves": [Group(str(wave), list(of)) for wave, of in groupby(shown, key=lambda found: found.place.wave)],
        "owners": owners,
        "done": everything.done,
        "total": everything.total,
        "others": _others(rollout, workspaces),
        "move": _move(rollout, [found.place for found in shown], workspaces, now),
    }


def rows_of(found: Sequence[Rollout], workspaces: tuple[UUID, ...]) -> list[tuple[Rollout, str]]:
    """This function will give each roll-out the names of its workspaces that the viewer sees (one query)."""
    names = dict(Workspace.objects.visible_in(workspaces).values_list("pk", "name"))
    return [(rollout, ", ".join(names[pk] for pk in rollout.workspaces if pk in names)) for rollout in found]


def lanes_for(
    release: Release, owner_id: UUID, *, workspaces: tuple[UUID, ...], rights: Rights, now: datetime
) -> list[Lane]:
    """This function will return the lanes that the release may be asked for now, first tier first.

    For the workspace that owns the release, those of every workspace where the person may ask; else those of the owner.
    """
    reach = workspaces if owner_id == release.workspace_id else (owner_id,)
    stops = stops_of(release, workspaces=reach, now=now)
    return [stop.lane for stop, verdict in asks_of(release, stops, rights).items() if verdict]


def owners_of(lanes: Sequence[Lane], owner_id: UUID) -> list[Workspace]:
    """This function will return the workspaces of these lanes, the one that steers first (one query)."""
    found = Workspace.objects.filter(pk__in={lane.workspace_id for lane in lanes})
    return sorted(found, key=lambda workspace: (workspace.pk != owner_id, workspace.name))


def _owners(rollout: Rollout, workspaces: tuple[UUID, ...]) -> list[Workspace]:
    found = Workspace.objects.visible_in(workspaces).filter(pk__in=rollout.workspaces)
    return sorted(found, key=lambda workspace: (workspace.pk != rollout.workspace_id, workspace.name))


def _others(rollout: Rollout, workspaces: tuple[UUID, ...]) -> list[tuple[str, GuestPart]]:
    """Return how far the guests are that the viewer sees nothing of, by number; none to who does not steer."""
    parts = GuestPart.objects.visible_in(workspaces).filter(rollout=rollout).order_by("guest")
    numbered = [(f"Guest {number}", part) for number, part in enumerate(parts, 1)]
    return [(name, part) for name, part in numbered if part.guest not in workspaces]


def _decides(rights: Rights, workspace_id: UUID) -> bool:
    asks = rights.may(Capability.PROMOTION_REQUEST, workspace_id)
    return bool(asks or rights.may(Capability.DEPLOYMENT_OPERATE, workspace_id))


def _move(rollout: Rollout, places: Sequence[Place], workspaces: tuple[UUID, ...], now: datetime) -> Move:
    """Say what comes next, as far as the viewer sees it: what others do is not theirs to read."""
    if set(rollout.workspaces) <= set(workspaces):
        return waves.next_move(places, pause=rollout.pause, released=rollout.released_wave, now=now)
    waiting = [place.wave for place in places if place.progress == Progress.WAITING]
    if not waiting:
        return Move(Step.WAIT, "Nothing of yours waits for its wave.")
    return Move(Step.WAIT, f"Wave {min(waiting)} comes when those before it have stayed well.")
