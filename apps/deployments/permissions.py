"""Who may do what with deployments, and when; asked by buttons and by actions alike."""

from datetime import datetime
from uuid import UUID

from django.conf import settings

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import Actor
from apps.core.verdict import ALLOWED, Verdict, all_of, refused
from apps.deployments.enums import DeploymentKind, DeploymentState
from apps.deployments.models import Deployment, Rollout
from apps.environments.models import Lane
from apps.releases.models import Release
from apps.workspaces import rights


def may_begin(by: User | Actor, promotion: Promotion) -> Verdict:
    """This function will say whether starting deployments of this lane is theirs at all."""
    return _may_on(by, Capability.PROMOTION_REQUEST, promotion.lane)


def may_start(by: User | Actor, promotion: Promotion) -> Verdict:
    """This function will say whether somebody may start the deployment of a promotion now."""
    verdicts = [may_begin(by, promotion)]
    if promotion.state != PromotionState.READY:
        verdicts.append(refused("not_ready", f"Promotion #{promotion.number} is {promotion.label.lower()}."))
    return all_of(verdicts)


def may_cancel(by: User | Actor, deployment: Deployment, *, is_stoppable: bool) -> Verdict:
    """This function will say whether somebody may ask for the end of a deployment.

    `is_stoppable` is what its executor declares; one that waits for its turn can be taken back all the same.
    """
    verdicts = [_may_on(by, Capability.DEPLOYMENT_OPERATE, deployment.lane)]
    if not isinstance(by, User):
        verdicts.append(refused("not_a_person", "Only a person may cancel a deployment."))
    if not deployment.is_open:
        verdicts.append(refused("ended", f"Deployment {deployment} has ended: {deployment.label.lower()}."))
    elif deployment.cancel_requested_at is not None:
        verdicts.append(refused("cancelling", f"Deployment {deployment} is being cancelled already."))
    elif deployment.kind == DeploymentKind.ROLLBACK and deployment.state != DeploymentState.QUEUED:
        verdicts.append(refused("rollback", "A rollback that runs is not cancelled: it brings back what worked."))
    elif not is_stoppable and deployment.state != DeploymentState.QUEUED:
        verdicts.append(refused("not_stoppable", "What it started can't be stopped half-way. Wait for its end."))
    return all_of(verdicts)


def may_roll_back(by: User | Actor, lane: Lane) -> Verdict:
    """This function will say whether somebody may roll a lane back; freeze, hold and window do not stop it."""
    verdicts = [_may_on(by, Capability.DEPLOYMENT_ROLL_BACK, lane)]
    if lane.live_release_id is None:
        verdicts.append(refused("nothing_live", "Nothing runs here yet."))
    return all_of(verdicts)


def may_abandon(by: User | Actor, deployment: Deployment, *, now: datetime) -> Verdict:
    """This function will say whether somebody may give up finding out what became of a deployment.

    Only a named person, only while nobody can tell: UNKNOWN, or CANCELLING over its limit. In Production two people
    have to say so, one after the other.
    """
    verdicts = [_may_on(by, Capability.DEPLOYMENT_OPERATE, deployment.lane)]
    if not isinstance(by, User):
        verdicts.append(refused("not_a_person", "Only a person may abandon a deployment."))
    elif by.pk == deployment.abandon_proposed_by_id:
        verdicts.append(refused("own_proposal", "You proposed it: in Production another person has to agree."))
    if not _is_stuck(deployment, now):
        verdicts.append(
            refused("not_stuck", f"Deployment {deployment} is {deployment.label.lower()}: the engine still has it.")
        )
    return all_of(verdicts)


def may_look_again(by: User, deployment: Deployment, *, now: datetime) -> Verdict:
    """This function will say whether somebody may have the target asked at once how a lost attempt stands.

    One person at a time: nobody may while it is being asked, or about to be.
    """
    verdicts = [_may_on(by, Capability.DEPLOYMENT_OPERATE, deployment.lane)]
    if deployment.state != DeploymentState.UNKNOWN:
        verdicts.append(
            refused("known", f"Deployment {deployment} is {deployment.label.lower()}: nothing to look for.")
        )
    elif _is_looked_at(deployment, now):
        verdicts.append(refused("looked_at", f"The target of deployment {deployment} is being asked now."))
    return all_of(verdicts)


def may_decline(by: User, deployment: Deployment) -> Verdict:
    """This function will say whether somebody may turn down, or take back, the proposal to abandon a deployment."""
    verdicts = [_may_on(by, Capability.DEPLOYMENT_OPERATE, deployment.lane)]
    if deployment.abandon_proposed_at is None:
        verdicts.append(refused("no_proposal", f"Nobody proposes to abandon deployment {deployment} any more."))
    return all_of(verdicts)


def may_roll_out(by: User, lane: Lane) -> Verdict:
    """This function will say whether a lane may be part of a roll-out of theirs."""
    return _may_on(by, Capability.PROMOTION_REQUEST, lane)


def may_span(by: User, release: Release) -> Verdict:
    """This function will say whether rolling a release out over several workspaces is theirs.

    It is of those who ask for promotions in the workspace that owns the release; `may_roll_out` judges each other one.
    """
    return rights.may(by, Capability.PROMOTION_REQUEST, release.workspace_id)


def may_steer(by: User, rollout: Rollout) -> Verdict:
    """This function will say whether pausing, resuming and stopping a roll-out is theirs: those who ask or operate."""
    return all_of([_asks_or_operates(by, rollout.workspace_id), _is_open(rollout)])


def may_decide_part(by: User, rollout: Rollout, workspace_id: UUID) -> Verdict:
    """This function will say whether holding or leaving a guest's part in a roll-out is theirs."""
    verdicts = [_asks_or_operates(by, workspace_id), _is_open(rollout)]
    if workspace_id not in rollout.guests:
        verdicts.append(refused("no_guest", "This workspace steers the roll-out: pause or stop all of it instead."))
    return all_of(verdicts)


def _asks_or_operates(by: User, workspace_id: UUID) -> Verdict:
    asks = rights.may(by, Capability.PROMOTION_REQUEST, workspace_id)
    return asks if asks else rights.may(by, Capability.DEPLOYMENT_OPERATE, workspace_id)


def _is_open(rollout: Rollout) -> Verdict:
    if rollout.is_open:
        return ALLOWED
    return refused("ended", f"Roll-out {rollout} has ended: {rollout.label.lower()}.")


def _is_looked_at(deployment: Deployment, now: datetime) -> bool:
    is_held = deployment.lease_until is not None and deployment.lease_until > now
    return is_held or (deployment.probe_after is not None and deployment.probe_after <= now)


def _is_stuck(deployment: Deployment, now: datetime) -> bool:
    if deployment.state == DeploymentState.UNKNOWN:
        return True
    asked = deployment.cancel_requested_at
    return (
        deployment.state == DeploymentState.CANCELLING
        and asked is not None
        and now - asked > settings.ENGINE_CANCEL_LIMIT
    )


def _may_on(by: User | Actor, capability: Capability, lane: Lane) -> Verdict:
    """Ask for the role, or a grant on the environment or the service."""
    verdict = rights.may(by, capability, lane.workspace_id, lane.environment)
    if verdict:
        return ALLOWED
    return ALLOWED if rights.may(by, capability, lane.workspace_id, lane.service) else verdict
