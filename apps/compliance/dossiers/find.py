"""The object that a dossier is of, as far as it is there for these workspaces, with its dossier."""

from datetime import datetime
from uuid import UUID

from apps.compliance.dossiers.deployment import deployment_dossier
from apps.compliance.dossiers.document import Dossier
from apps.compliance.dossiers.release import release_dossier
from apps.deployments.models import Deployment
from apps.releases.models import Release


def deployment(workspaces: tuple[UUID, ...], number: int, *, whole_log: bool) -> tuple[Deployment, Dossier]:
    """This function will gather the dossier of a deployment.

    Raises Deployment.DoesNotExist: it is not in these workspaces.
    """
    found = Deployment.objects.visible_in(workspaces).with_subject()
    found = found.select_related(
        "from_configuration", "rolls_back", "cancel_requested_by", "lane__environment__workspace"
    )
    row = found.get(number=number)
    return row, deployment_dossier(row, workspaces=workspaces, whole_log=whole_log)


def release(workspaces: tuple[UUID, ...], service: str, version: str, *, now: datetime) -> tuple[Release, Dossier]:
    """This function will gather the dossier of a release.

    Raises Release.DoesNotExist: these workspaces don't see it.
    """
    found = Release.objects.readable_in(workspaces).select_related("service", "author", "committer", "created_by")
    row = found.get(service__slug=service, version=version)
    return row, release_dossier(row, workspaces=workspaces, now=now)
