"""Who may change environments, and what holds them."""

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Verdict, all_of, refused
from apps.environments.enums import FreezeScope, Tier
from apps.environments.models import Environment, Freeze, Lane
from apps.workspaces import rights
from apps.workspaces.models import Workspace

By = User | Actor


def may_create(by: By, workspace: Workspace, *, tier: str) -> Verdict:
    """This function will say whether somebody may add an environment. A Local one is for everybody who deploys."""
    if tier == Tier.LOCAL:
        return rights.may(by, Capability.PROMOTION_REQUEST, workspace.pk, workspace)
    return rights.may(by, Capability.ENVIRONMENT_MANAGE, workspace.pk, workspace)


def may_destroy(by: By, environment: Environment) -> Verdict:
    """This function will say whether somebody may destroy this environment."""
    if environment.tier == Tier.LOCAL:
        return rights.may(by, Capability.PROMOTION_REQUEST, environment.workspace_id, environment)
    return may_manage(by, environment)


def may_manage(by: By, environment: Environment) -> Verdict:
    """This function will say whether somebody may change the environment's resources, lanes and windows."""
    return rights.may(by, Capability.ENVIRONMENT_MANAGE, environment.workspace_id, environment)


def may_prepare(by: By, environment: Environment) -> Verdict:
    """This function will say whether somebody may prepare a service there."""
    return may_destroy(by, environment) if environment.tier == Tier.LOCAL else may_manage(by, environment)


def may_freeze(by: By, workspace: Workspace, *, scope: str, environment: Environment | None = None) -> Verdict:
    """This function will say whether somebody may freeze; everything, only from the platform's workspace."""
    verdict = rights.may(by, Capability.FREEZE, workspace.pk, environment)
    if scope == FreezeScope.ALL and workspace.pk != PLATFORM_WORKSPACE_ID:
        return all_of([verdict, refused("not_platform", "Only the platform's workspace can freeze everything.")])
    return verdict


def may_lift_freeze(by: By, freeze: Freeze) -> Verdict:
    """This function will say whether somebody may lift this freeze: whoever may set one there."""
    environment = freeze.environment or (freeze.lane.environment if freeze.lane else None)
    return rights.may(by, Capability.FREEZE, freeze.workspace_id, environment)


def may_lift_hold(by: By, lane: Lane) -> Verdict:
    """This function will say whether somebody may let automation pass the lane again."""
    return rights.may(by, Capability.DEPLOYMENT_OPERATE, lane.workspace_id, lane.environment)


def may_record(by: By, environment: Environment) -> Verdict:
    """This function will say whether somebody may tell of refreshes of its data, of backups and of tests of them."""
    return rights.may(by, Capability.DEPLOYMENT_OPERATE, environment.workspace_id, environment)


def may_watch_closely(by: By, environment: Environment) -> Verdict:
    """This function will say whether somebody may have lanes of it watched closely, or end that."""
    return rights.may(by, Capability.DEPLOYMENT_OPERATE, environment.workspace_id, environment)
