"""Roll-outs: one release over many environments, wave by wave. What each environment asks of it, it still asks.

Where they belong to several workspaces, the roll-out is decided in a scope of all of these and asks in that of each
(ADR 0066). What is kept and told for all to read names no place.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.approvals import actions as approval_actions
from apps.approvals.actions.facts import order_of
from apps.approvals.enums import WAITING, PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.core import hints
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid, Refusal
from apps.deployments import permissions, waves
from apps.deployments.enums import GuestState, RolloutLaneState, RolloutState
from apps.deployments.models import GuestPart, Rollout, RolloutLane
from apps.deployments.rollout_transitions import advance, record
from apps.deployments.waves import Place, Progress, Step
from apps.environments.models import Lane
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

TASK = "deployments.roll_out"
LONGEST_PAUSE = timedelta(days=14)

# What ended one that has guests, for all of them to read: what failed is told where it is.
ENDS: dict[Step, tuple[RolloutState, str]] = {
    Step.STOP: (RolloutState.STOPPED, "Not every environment took it, so no later wave begins."),
    Step.COMPLETE: (RolloutState.COMPLETED, "Every environment that stayed in it runs it."),
}


class RolloutInvalid(Invalid):
    code = "rollout_invalid"


class RolloutUnderWay(Conflict):
    code = "rollout_under_way"
    next_step = "Wait until it has ended, or stop it."


class NothingToRelease(Conflict):
    """No wave waits that a person may let begin."""

    code = "nothing_to_release"


@transaction.atomic
def start_rollout(
    release: Release, *, waves_of: Mapping[Lane, int], pause: timedelta, reason: str, by: User, now: datetime
) -> Rollout:
    """This function will begin to bring a release to these environments, the lowest wave first.

    Shapes: `waves_of` gives each lane of the release's service its wave; gaps between the numbers are closed. Lanes of
    several workspaces make a roll-out of the workspace that owns the release.
    Raises Denied: they may not ask for promotions in one of them, or for the release where it is at home.
    Raises RolloutInvalid: lanes of another service, fewer than two, a release that is not sealed, or not published to
    the others, a pause of over 14 days.
    Raises RolloutUnderWay: the service has one in this workspace. Raises TextInvalid: for the reason.
    """
    reason = one_line(reason, name="The reason", limit=300, required=False)
    _require_whole(release, waves_of, pause)
    for lane in waves_of:
        permissions.may_roll_out(by, lane).require()
    workspaces = {lane.workspace_id for lane in waves_of}
    if len(workspaces) > 1:
        permissions.may_span(by, release).require()
    workspace_id = release.workspace_id if len(workspaces) > 1 else next(iter(workspaces))
    rollout = Rollout(
        workspace_id=workspace_id, guests=sorted(workspaces - {workspace_id}), service=release.service,
        release=release, pause=pause, reason=reason, requested_at=now, requested_by=by,
    )  # fmt: skip
    try:
        with transaction.atomic():
            rollout.save(force_insert=True)
    except IntegrityError as error:
        other = Rollout.objects.open().with_subject().filter(workspace_id=workspace_id, service=release.service).get()
        raise RolloutUnderWay(
            f"Roll-out {other} of {other.service} {other.release} is {other.label.lower()}, begun by "
            f"{other.requested_by}."
        ) from error
    rollout.refresh_from_db(fields=["number"])
    numbers = {wave: number for number, wave in enumerate(sorted(set(waves_of.values())), 1)}
    RolloutLane.objects.bulk_create(
        RolloutLane(workspace_id=lane.workspace_id, rollout=rollout, lane=lane, wave=numbers[wave])
        for lane, wave in waves_of.items()
    )
    words = {workspace: f"was started: {_scale(workspace, waves_of)}." for workspace in rollout.workspaces}
    record(rollout, "rollout.started", words, by=by, reason=reason)
    hints.wake(TASK, rollout.pk)
    return rollout


def pause_rollout(rollout: Rollout, *, by: User, now: datetime) -> Rollout:
    """This function will let no further wave begin; what is under way goes on. Raises Denied, RolloutMoved."""
    with _steered(rollout, by) as rollout:
        advance(rollout, RolloutState.PAUSED, by=by, now=now, why=f"Paused by {by}.")
    return rollout


def resume_rollout(rollout: Rollout, *, by: User, now: datetime) -> Rollout:
    """This function will let a paused roll-out go on. Raises Denied, RolloutMoved."""
    with _steered(rollout, by) as rollout:
        advance(rollout, RolloutState.RUNNING, by=by, now=now)
        hints.wake(TASK, rollout.pk)
    return rollout


def release_wave(rollout: Rollout, *, wave: int, by: User, now: datetime) -> Rollout:
    """This function will let a wave begin without the rest of its pause, whatever is wrong, or only waits, before it.

    Raises Denied: they may not. Raises NothingToRelease: this wave is not the one that waits.
    """
    with _steered(rollout, by) as rollout:
        offer = next_move(rollout, now=now).offer if rollout.state == RolloutState.RUNNING else 0
        if not offer or offer != wave:
            raise NothingToRelease(f"Wave {wave} of roll-out {rollout} is not the one that waits to begin.")
        Rollout.objects.filter(pk=rollout.pk).update(released_wave=wave)
        rollout.released_wave = wave
        words = dict.fromkeys(rollout.workspaces, f"goes on with wave {wave} without waiting longer.")
        record(rollout, "rollout.wave_released", words, by=by)
        hints.wake(TASK, rollout.pk)
    return rollout


def stop_rollout(rollout: Rollout, *, reason: str, by: User, now: datetime) -> Rollout:
    """This function will end a roll-out: its promotions that wait are withdrawn, what is deploying goes on to its end.

    Raises Denied, RolloutMoved. Raises TextInvalid: for the reason, which must be given.
    """
    reason = one_line(reason, name="The reason", limit=300)
    with _steered(rollout, by) as rollout:
        advance(rollout, RolloutState.STOPPED, by=by, now=now, why=f"Stopped by {by}: {reason}", reason=reason)
        _tell_home(rollout, now=now)  # what is withdrawn below is no failure of a guest's
        why = f"{by} stopped roll-out {rollout}: {reason}"[:300]
        for promotion in Promotion.objects.filter(rollout_lane__rollout=rollout, state__in=WAITING).order_by("pk"):
            with suppress(approval_actions.NotWaiting):  # it has just begun to deploy, and goes on
                approval_actions.withdraw(promotion, reason=why, by=SYSTEM, now=now)
    return rollout


@transaction.atomic
def go_on(rollout_id: UUID, *, now: datetime) -> None:
    """This function will make the next move of a roll-out, if it runs and there is one.

    The caller stands in a scope of all its workspaces.
    """
    rollout = _lock(rollout_id)
    if rollout.state != RolloutState.RUNNING:
        return
    move = next_move(rollout, now=now)
    if move.step == Step.ASK:
        _ask(rollout, move.wave, now)
        # One that could not even be asked for is a failure: it stops the roll-out here, not a sweep later.
        move = next_move(rollout, now=now)
    _tell_home(rollout, now=now)
    if move.step in ENDS:
        _end(rollout, move, now)


@transaction.atomic
def tell_home(rollout_id: UUID, *, now: datetime) -> None:
    """This function will write down for who steers a roll-out how far its guests are, whatever its own state.

    The caller stands in a scope of all its workspaces.
    """
    _tell_home(_lock(rollout_id), now=now)


def next_move(rollout: Rollout, *, now: datetime) -> waves.Move:
    """This function will say what a roll-out does next, from its rows (two queries)."""
    places = [place_of(row, rollout.release) for row in rollout.lanes.in_order()]
    return waves.next_move(places, pause=rollout.pause, released=rollout.released_wave, now=now)


def place_of(row: RolloutLane, release: Release) -> Place:
    """This function will say how far one environment is; needs `in_order`."""
    name = row.lane.environment.name
    if row.state == RolloutLaneState.LEFT:
        return Place(name, row.wave, Progress.LEFT)
    if why := _why_failed(row, release):
        return Place(name, row.wave, Progress.FAILED, why=why)
    if row.promotion is None:
        return Place(name, row.wave, Progress.HELD if row.state == RolloutLaneState.HELD else Progress.WAITING)
    if row.promotion.is_open:
        return Place(name, row.wave, Progress.ASKED if row.promotion.state in WAITING else Progress.UNDER_WAY)
    wrong = " ".join(trouble.why for trouble in row.lane.troubles.all())
    return Place(name, row.wave, Progress.DONE, done_at=row.promotion.ended_at, why=wrong)


def _why_failed(row: RolloutLane, release: Release) -> str:
    promotion, lane = row.promotion, row.lane
    if promotion is None or promotion.is_open:
        return row.refusal
    if promotion.state != PromotionState.COMPLETED:
        return f"{promotion.label}. {promotion.outcome}".strip()
    if lane.live_release is None or order_of(lane.live_release) < order_of(release):
        return f"It was taken back to {lane.live_release or 'nothing'}."
    # What was wrong before it came is not its doing, and may take a while to end.
    came_at = promotion.ended_at or promotion.requested_at
    return " ".join(trouble.why for trouble in lane.troubles.all() if trouble.since >= came_at)


def _require_whole(release: Release, waves_of: Mapping[Lane, int], pause: timedelta) -> None:
    if len(waves_of) < 2:
        raise RolloutInvalid("A roll-out goes to two environments at least; for one, ask for its promotion.")
    if any(lane.service_id != release.service_id for lane in waves_of):
        raise RolloutInvalid(f"{release.service} does not run in all of these.")
    if any(wave < 1 for wave in waves_of.values()):
        raise RolloutInvalid("Waves are counted from 1.")
    if release.state != ReleaseState.SEALED:
        raise RolloutInvalid(
            f"{release.service} {release} is {release.label.lower()}: only a sealed one is rolled out."
        )
    if not release.is_published and any(lane.workspace_id != release.workspace_id for lane in waves_of):
        raise RolloutInvalid(f"{release.service} {release} is not published, so no other workspace can take it.")
    if not timedelta(0) <= pause <= LONGEST_PAUSE:
        raise RolloutInvalid("The pause between waves is at most 14 days.")


def _scale(workspace_id: UUID, waves_of: Mapping[Lane, int]) -> str:
    own = [wave for lane, wave in waves_of.items() if lane.workspace_id == workspace_id]
    if not own:
        return "for environments of other workspaces"
    places, count = len(own), len(set(own))
    return f"{places} environment{'s' if places > 1 else ''} in {count} wave{'s' if count > 1 else ''}"


@contextmanager
def _steered(rollout: Rollout, by: User) -> Iterator[Rollout]:
    """Lock a roll-out for who may steer it, in a scope of all its workspaces: not all of these need be theirs."""
    with workspace_scope(rollout.workspaces):
        locked = _lock(rollout.pk)
        permissions.may_steer(by, locked).require()
        yield locked


def _lock(pk: UUID) -> Rollout:
    Rollout.objects.locked().only("pk").get(pk=pk)
    return Rollout.objects.with_subject().get(pk=pk)


def _ask(rollout: Rollout, wave: int, now: datetime) -> None:
    """Ask for each environment of the wave; what hinders one of them keeps none of the others from it."""
    rows = rollout.lanes.in_order().filter(wave=wave, promotion=None, refusal="", state=RolloutLaneState.IN)
    told = {row.workspace_id for row in rows if _ask_for(row, rollout, now)}
    if told:
        words = dict.fromkeys([rollout.workspace_id, *sorted(told - {rollout.workspace_id})], f"begins wave {wave}.")
        record(rollout, "rollout.wave_begun", words, by=SYSTEM)


def _ask_for(row: RolloutLane, rollout: Rollout, now: datetime) -> bool:
    """Ask as somebody of the environment's own workspace would, who sees no other; say whether anything came of it."""
    try:
        with workspace_scope([row.workspace_id]):
            if not RolloutLane.objects.locked().filter(pk=row.pk, state=RolloutLaneState.IN).first():
                return False  # its workspace was quicker
            reason = rollout.reason or f"Wave {row.wave} of roll-out {rollout}"
            asked = approval_actions.request_promotion(
                rollout.release, lane=row.lane, by=rollout.requested_by, now=now, reason=reason
            )
            RolloutLane.objects.filter(pk=row.pk).update(promotion=asked)
    except Refusal as refusal:
        RolloutLane.objects.filter(pk=row.pk).update(refusal=str(refusal)[:300])
    except Exception:
        log.exception("roll-out %s can't ask in workspace %s; it tries again", rollout, row.workspace_id)
        return False
    return True


def _end(rollout: Rollout, move: waves.Move, now: datetime) -> None:
    to, why = ENDS[move.step]
    if not rollout.guests:
        advance(rollout, to, by=SYSTEM, now=now, why=move.sentence)
        return
    own = {workspace: waves.failures(places) for workspace, places in _places_by_workspace(rollout).items()}
    advance(rollout, to, by=SYSTEM, now=now, why=why, told=own)


def _places_by_workspace(rollout: Rollout) -> dict[UUID, list[Place]]:
    found: dict[UUID, list[Place]] = {}
    for row in rollout.lanes.in_order():
        found.setdefault(row.workspace_id, []).append(place_of(row, rollout.release))
    return found


def _tell_home(rollout: Rollout, *, now: datetime) -> None:
    """Write down, for who steers a locked roll-out, how far each guest is; nothing where none moved."""
    if not rollout.guests:
        return
    places = _places_by_workspace(rollout)
    known = {part.guest: part for part in GuestPart.objects.filter(rollout=rollout)}
    for guest in sorted(places.keys() & set(rollout.guests)):
        progress, sentence = waves.part_in_words(places[guest])
        before = known.get(guest)
        if before is None or (before.state, before.sentence) != (progress.value, sentence):
            _tell_of(rollout, guest, before=before, to=GuestState(progress.value), sentence=sentence, now=now)


def _tell_of(
    rollout: Rollout, guest: UUID, *, before: GuestPart | None, to: GuestState, sentence: str, now: datetime
) -> None:
    GuestPart.objects.update_or_create(
        rollout=rollout,
        guest=guest,
        defaults={"workspace_id": rollout.workspace_id, "state": to, "sentence": sentence, "since": now},
    )
    if before is None:
        return  # that it begins has been told
    words = {rollout.workspace_id: f"has a guest that is now: {to.label.lower()}. {sentence}"}
    record(rollout, "rollout.guest_moved", words, by=SYSTEM)
