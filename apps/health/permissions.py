"""Who may say how it is learnt what users get."""

from django.conf import settings

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.core.verdict import Verdict, all_of, refused
from apps.environments import permissions
from apps.environments.models import Lane
from apps.workspaces import rights


def may_measure(by: User | Actor, lane: Lane, *, of_service: bool) -> Verdict:
    """This function will say whether somebody may set the queries of a lane, or of its service in the whole workspace.

    Only in workspaces that the operators named: one Prometheus serves all, and a query reads whatever is in it.
    """
    workspace = lane.environment.workspace
    if of_service:
        verdict = rights.may(by, Capability.ENVIRONMENT_MANAGE, workspace.pk, workspace)
    else:
        verdict = permissions.may_manage(by, lane.environment)
    if workspace.slug in settings.PROMETHEUS_WORKSPACES:
        return verdict
    why = f"{workspace} may not write queries of its own: they would read what is measured of others, too."
    return all_of([verdict, refused("not_its_own", why)])
