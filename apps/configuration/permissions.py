"""Who may change how a service is configured in an environment."""

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.core.verdict import Verdict
from apps.environments.models import Lane
from apps.workspaces import rights


def may_configure(by: User | Actor, lane: Lane) -> Verdict:
    """This function will say whether somebody may write a configuration version of the lane."""
    return rights.may(by, Capability.CONFIGURE, lane.workspace_id, lane.environment)
