"""Roll-outs: one release over many environments, wave by wave. What each environment asks of it, it still asks."""

from collections.abc import Mapping
from contextlib import suppress
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
from apps.deployments.enums import RolloutState
from apps.deployments.models import Rollout, RolloutLane
from apps.deployments.rollout_transitions import advance, record
from apps.deployments.waves import Place, Progress, Step
from apps.environments.models import Lane
from apps.releases.enums import ReleaseState
from apps.releases.models import Release

TASK = "deployments.roll_out"
LONGEST_PAUSE = timedelta(days=14)


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

    Shapes: `waves_of` gives each lane of the release's service its wave; gaps between the numbers are closed.
    Raises Denied: they may not ask for promotions in one of them. Raises RolloutInvalid: lanes of several workspaces or
    of another service, fewer than two, a release that is not sealed, a pause of over 14 days.
    Raises RolloutUnderWay: the service has one in this workspace. Raises TextInvalid: for the reason.
    """
    reason = one_line(reason, name="The reason", limit=300, required=False)
    _require_whole(release, waves_of, pause)
    for lane in waves_of:
        permissions.may_roll_out(by, lane).require()
    workspace_id = next(iter(waves_of)).workspace_id
    rollout = Rollout(
        workspace_id=workspace_id, service=release.service, release=release, pause=pause, reason=reason,
        requested_at=now, requested_by=by,
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
        RolloutLane(workspace_id=workspace_id, rollout=rollout, lane=lane, wave=numbers[wave])
        for lane, wave in waves_of.items()
    )
    count = f"{len(waves_of)} environments in {len(numbers)} wave{'s' if len(numbers) > 1 else ''}"
    record(rollout, "rollout.started", f"was started: {count}.", by=by, reason=reason)
    hints.wake(TASK, rollout.pk)
    return rollout


@transaction.atomic
def pause_rollout(rollout: Rollout, *, by: User, now: datetime) -> Rollout:
    """This function will let no further wave begin; what is under way goes on. Raises Denied, RolloutMoved."""
    rollout = _lock(rollout.pk)
    permissions.may_steer(by, rollout).require()
    advance(rollout, RolloutState.PAUSED, by=by, now=now, why=f"Paused by {by}.")
    return rollout


@transaction.atomic
def resume_rollout(rollout: Rollout, *, by: User, now: datetime) -> Rollout:
    """This function will let a paused roll-out go on. Raises Denied, RolloutMoved."""
    rollout = _lock(rollout.pk)
    permissions.may_steer(by, rollout).require()
    advance(rollout, RolloutState.RUNNING, by=by, now=now)
    hints.wake(TASK, rollout.pk)
    return rollout


@transaction.atomic
def release_wave(rollout: Rollout, *, wave: int, by: User, now: datetime) -> Rollout:
    """This function will let a wave begin without the rest of its pause, and whatever is wrong before it.

    Raises Denied: they may not. Raises NothingToRelease: this wave is not the one that waits.
    """
    rollout = _lock(rollout.pk)
    permissions.may_steer(by, rollout).require()
    move = next_move(rollout, now=now)
    if rollout.state != RolloutState.RUNNING or not wave or move.offer != wave:
        raise NothingToRelease(f"Wave {wave} of roll-out {rollout} is not the one that waits to begin.")
    Rollout.objects.filter(pk=rollout.pk).update(released_wave=wave)
    rollout.released_wave = wave
    record(rollout, "rollout.wave_released", f"goes on with wave {wave} without waiting longer.", by=by)
    hints.wake(TASK, rollout.pk)
    return rollout


@transaction.atomic
def stop_rollout(rollout: Rollout, *, reason: str, by: User, now: datetime) -> Rollout:
    """This function will end a roll-out: its promotions that wait are withdrawn, what is deploying goes on to its end.

    Raises Denied, RolloutMoved. Raises TextInvalid: for the reason, which must be given.
    """
    reason = one_line(reason, name="The reason", limit=300)
    rollout = _lock(rollout.pk)
    permissions.may_steer(by, rollout).require()
    advance(rollout, RolloutState.STOPPED, by=by, now=now, why=f"Stopped by {by}: {reason}", reason=reason)
    for promotion in Promotion.objects.filter(rollout_lane__rollout=rollout, state__in=WAITING).order_by("pk"):
        why = f"{by} stopped roll-out {rollout}: {reason}"[:300]
        with suppress(approval_actions.NotWaiting):  # it has just begun to deploy, and goes on
            approval_actions.withdraw(promotion, reason=why, by=SYSTEM, now=now)
    return rollout


@transaction.atomic
def go_on(rollout_id: UUID, *, now: datetime) -> None:
    """This function will make the next move of a roll-out, if it runs and there is one."""
    rollout = _lock(rollout_id)
    if rollout.state != RolloutState.RUNNING:
        return
    move = next_move(rollout, now=now)
    if move.step == Step.ASK:
        _ask(rollout, move.wave, now)
        # One that could not even be asked for is a failure: it stops the roll-out here, not a sweep later.
        move = next_move(rollout, now=now)
    if move.step == Step.STOP:
        advance(rollout, RolloutState.STOPPED, by=SYSTEM, now=now, why=move.sentence)
    elif move.step == Step.COMPLETE:
        advance(rollout, RolloutState.COMPLETED, by=SYSTEM, now=now, why=move.sentence)


def next_move(rollout: Rollout, *, now: datetime) -> waves.Move:
    """This function will say what a roll-out does next, from its rows (two queries)."""
    places = [place_of(row, rollout.release) for row in rollout.lanes.in_order()]
    return waves.next_move(places, pause=rollout.pause, released=rollout.released_wave, now=now)


def place_of(row: RolloutLane, release: Release) -> Place:
    """This function will say how far one environment is; needs `in_order`."""
    name = row.lane.environment.name
    if why := _why_failed(row, release):
        return Place(name, row.wave, Progress.FAILED, why=why)
    if row.promotion is None:
        return Place(name, row.wave, Progress.WAITING)
    if row.promotion.is_open:
        return Place(name, row.wave, Progress.UNDER_WAY)
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
    if len({lane.workspace_id for lane in waves_of}) > 1:
        raise RolloutInvalid("The environments of a roll-out belong to one workspace.")
    if any(lane.service_id != release.service_id for lane in waves_of):
        raise RolloutInvalid(f"{release.service} does not run in all of these.")
    if any(wave < 1 for wave in waves_of.values()):
        raise RolloutInvalid("Waves are counted from 1.")
    if release.state != ReleaseState.SEALED:
        raise RolloutInvalid(
            f"{release.service} {release} is {release.label.lower()}: only a sealed one is rolled out."
        )
    if not timedelta(0) <= pause <= LONGEST_PAUSE:
        raise RolloutInvalid("The pause between waves is at most 14 days.")


def _lock(pk: UUID) -> Rollout:
    Rollout.objects.locked().only("pk").get(pk=pk)
    return Rollout.objects.with_subject().get(pk=pk)


def _ask(rollout: Rollout, wave: int, now: datetime) -> None:
    """Ask for each environment of the wave; what refuses one of them keeps none of the others from it."""
    for row in rollout.lanes.in_order().filter(wave=wave, promotion=None, refusal=""):
        try:
            with transaction.atomic():
                reason = rollout.reason or f"Wave {wave} of roll-out {rollout}"
                asked = approval_actions.request_promotion(
                    rollout.release, lane=row.lane, by=rollout.requested_by, now=now, reason=reason
                )
                RolloutLane.objects.filter(pk=row.pk).update(promotion=asked)
        except Refusal as refusal:
            RolloutLane.objects.filter(pk=row.pk).update(refusal=str(refusal)[:300])
    record(rollout, "rollout.wave_begun", f"begins wave {wave}.", by=SYSTEM)
