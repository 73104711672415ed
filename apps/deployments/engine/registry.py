"""Is what a release names still in its registries? Asked before the first step of an attempt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.deployments.enums import DeploymentKind, StepVerdict
from apps.deployments.executors.contract import ArtifactRejected, Log, TargetUntouched
from apps.deployments.models import Deployment, Step
from apps.health.reach import policy_of
from apps.integrations.oci_registry import Differs, Gone, Reference, Registries, RegistryProblem
from apps.releases import manifests
from apps.releases.models import Release
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope

OCI = "oci://"


@dataclass(frozen=True, slots=True)
class Check:
    references: tuple[Reference, ...]
    registries: Registries

    def verify(self, log: Log) -> None:
        """This function will ask the registries, which takes a while: nothing may be locked.

        Raises ArtifactRejected: it is gone, or something else. Raises TargetUntouched: nobody can tell now.
        """
        try:
            self.registries.verify(self.references)
        except (Differs, Gone) as problem:
            raise ArtifactRejected(f"{problem} Nothing was deployed."[:500]) from problem
        except RegistryProblem as problem:
            raise TargetUntouched(f"{problem} Nothing was deployed."[:500], code="registry") from problem
        for reference in self.references:
            log(f"{reference} is in its registry.")


def check_before(deployment: Deployment) -> Check | None:
    """This function will return what has to be asked, as the workspace of the release may ask it; needs `with_subject`.

    Shapes: None for a rollback, for which nobody outside is asked, and once the first step was done after it.
    """
    references = references_of(deployment.release.artifact.manifest)
    if not references or deployment.kind == DeploymentKind.ROLLBACK:
        return None
    with workspace_scope([deployment.workspace_id]):
        if Step.objects.filter(deployment=deployment, seq=1, verdict=StepVerdict.DONE).exists():
            return None
    return Check(references, registries_for(deployment.release))


def registries_for(release: Release) -> Registries:
    """This function will return registries as the workspace of the release may ask them."""
    with workspace_scope([release.workspace_id]):
        owner = Workspace.objects.get(pk=release.workspace_id)
    return Registries(policy_of(owner.slug), settings.REGISTRIES)


def references_of(manifest: Mapping[str, Any]) -> tuple[Reference, ...]:
    """This function will return what a manifest names in registries: the chart, and its images. Pure."""
    names = [(row["name"], row["digest"], row["tag"]) for row in manifests.images_of(manifest)]
    for file in manifests.files_of(manifest):
        if file.get("source", "").startswith(OCI):
            name, _, digest = file["source"].removeprefix(OCI).partition("@")
            names.insert(0, (name, digest, ""))
    split = ((*name.partition("/"), digest, tag) for name, digest, tag in names)
    return tuple(Reference(registry, repository, digest, tag) for registry, _, repository, digest, tag in split)
