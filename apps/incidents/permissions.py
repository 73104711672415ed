"""Who may declare incidents and say how they stand."""

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.core.verdict import Verdict, all_of, refused
from apps.incidents.models import Incident
from apps.workspaces import rights
from apps.workspaces.models import Workspace


def may_declare(by: User, workspace: Workspace) -> Verdict:
    """This function will say whether somebody may declare an incident there."""
    return rights.may(by, Capability.INCIDENT_HANDLE, workspace.pk, workspace)


def may_add(by: User, incident: Incident) -> Verdict:
    """This function will say whether somebody may add to the timeline: also afterwards, for who looks back."""
    return may_declare(by, incident.workspace)


def may_steer(by: User, incident: Incident) -> Verdict:
    """This function will say whether somebody may change the severity, or resolve it."""
    verdicts = [may_declare(by, incident.workspace)]
    if not incident.is_open:
        verdicts.append(refused("incident_over", f"Incident {incident} is resolved. Declare another one."))
    return all_of(verdicts)
