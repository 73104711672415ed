"""Dossiers for programs. To ask for one is told in the ledger, though it is a GET: it is what a person's copy is."""

from datetime import datetime

from apps.api.identities import require_export
from apps.api.problems import UnknownDeployment, UnknownRelease
from apps.audit.actors import Actor
from apps.compliance.dossiers import find
from apps.compliance.dossiers.copies import Made, taken
from apps.compliance.dossiers.document import Dossier
from apps.deployments.models import Deployment
from apps.releases.models import Release
from apps.workspaces.models import ApiToken


def of_release(token: ApiToken, service: str, version: str, *, site: str, by: Actor, now: datetime) -> bytes:
    """This function will answer with the dossier of a release, of what the token's workspace did with it."""
    require_export(token)
    workspaces = (token.workspace_id,)
    try:
        release, dossier = find.release(workspaces, service, version, now=now)
    except Release.DoesNotExist as error:
        raise UnknownRelease(f"There is no release {version} of {service} here.") from error
    return _answer(dossier, release, token, site=site, by=by, now=now)


def of_deployment(token: ApiToken, number: int, *, whole_log: bool, site: str, by: Actor, now: datetime) -> bytes:
    """This function will answer with the dossier of a deployment of the token's workspace."""
    require_export(token)
    try:
        deployment, dossier = find.deployment((token.workspace_id,), number, whole_log=whole_log)
    except Deployment.DoesNotExist as error:
        raise UnknownDeployment(f"There is no deployment #{number} here.") from error
    return _answer(dossier, deployment, token, site=site, by=by, now=now)


def _answer(
    dossier: Dossier, target: Release | Deployment, token: ApiToken, *, site: str, by: Actor, now: datetime
) -> bytes:
    made = Made(token.name, now, site)
    return taken(dossier, made, form="json", target=target, workspaces=(token.workspace_id,), by=by)
