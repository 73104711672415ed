"""How much of a release's artifact the store holds."""

from collections import defaultdict
from typing import Any

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from apps.integrations.artifact_store import ArtifactStore
from apps.policies.facts import ArtifactFacts
from apps.releases import manifests
from apps.releases.models import Artifact, Release

# What was built or put here can't be fetched again.
NOWHERE_ELSE = ("build", manifests.STORE)


def artifact_facts(release: Release, artifact: Artifact | None, store: ArtifactStore) -> ArtifactFacts | None:
    """This function will compare an artifact with what was sealed and with what the store holds.

    Shapes: one part for each project that this machine needs, whichever of its files is the one that fits here.
    """
    if artifact is None:
        return None
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in manifests.files_of(artifact.manifest):
        if not file.get("marker") or Marker(file["marker"]).evaluate():
            parts[canonicalize_name(file["name"])].append(file)
    missing = [files for files in parts.values() if not any(store.has(file["sha256"]) for file in files)]
    return ArtifactFacts(
        digest=artifact.digest,
        sealed_digest=release.artifact_digest,
        parts=len(parts),
        stored=len(parts) - len(missing),
        gone=tuple(files[0]["filename"] for files in missing if files[0].get("source") in NOWHERE_ELSE),
    )
