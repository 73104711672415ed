"""Who may make releases and take them out of use."""

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.core.verdict import Verdict
from apps.releases.models import Release, Service
from apps.workspaces import rights
from apps.workspaces.models import Workspace


def may_register(by: User | Actor, workspace: Workspace) -> Verdict:
    """This function will say whether somebody may add a service to the catalogue."""
    return rights.may(by, Capability.RELEASE_CREATE, workspace.pk, workspace)


def may_release(by: User | Actor, service: Service) -> Verdict:
    """This function will say whether somebody may create, seal and retire releases of the service."""
    return rights.may(by, Capability.RELEASE_CREATE, service.workspace_id, service)


def may_quarantine(by: User | Actor, release: Release) -> Verdict:
    """This function will say whether somebody may quarantine the release, or lift that."""
    return rights.may(by, Capability.QUARANTINE, release.workspace_id, release.service)
