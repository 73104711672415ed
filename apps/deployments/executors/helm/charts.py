"""The chart of a release: an archive in the artifact store, fetched once from a registry where it isn't there yet."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.deployments.executors import guard
from apps.deployments.executors.contract import ArtifactRejected, Cancelled, Log, ReleaseRef, TargetUntouched
from apps.deployments.executors.helm.client import Helm
from apps.integrations.artifact_store import ArtifactStore, DigestMismatch, NotStored, StoreFull, digest_of
from apps.releases import manifests

FETCH_LIMIT = 120.0
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,15})")


def chart_of(release: ReleaseRef) -> Mapping[str, Any]:
    """Return the row of the chart. Raises ArtifactRejected: not a chart, or another digest than the release's."""
    try:
        manifests.check(release.manifest, program=release.manifest["program"], kind=manifests.CHART)
    except (manifests.ManifestInvalid, KeyError, TypeError) as error:
        raise ArtifactRejected(f"The manifest of {release.version} can't be read: {error}") from error
    if manifests.digest_of(release.manifest) != release.digest:
        raise ArtifactRejected(f"The chart of {release.version} is not the one that the release was sealed with.")
    chart: Mapping[str, Any] = release.manifest["chart"]
    return chart


def verified(release: ReleaseRef, store: ArtifactStore) -> Path:
    """Return the stored archive, read again. Raises ArtifactRejected: it isn't there, or damaged."""
    try:
        return store.verify(chart_of(release)["sha256"])
    except (NotStored, DigestMismatch) as error:
        raise ArtifactRejected(str(error)) from error


def fetch(release: ReleaseRef, store: ArtifactStore, helm: Helm, *, lifeline: guard.Lifeline, log: Log) -> bool:
    """Bring the chart into the store; False when it is there already.

    Raises ArtifactRejected: nowhere to be had, or other bytes than promised.
    Raises TargetUntouched: no answer, or no room left.
    """
    chart = chart_of(release)
    if store.has(chart["sha256"]):
        return False
    if chart.get("source", manifests.STORE) == manifests.STORE:
        raise ArtifactRejected(f"The artifact store doesn't hold the chart {chart['filename']}.")
    with tempfile.TemporaryDirectory(prefix="eaip-chart-") as name:
        folder = Path(name)
        command = helm.pull(chart["source"], folder)
        environment = helm.environment | {"HOME": name}
        outcome = guard.run(command, cwd=folder, log=log, lifeline=lifeline, env=environment, limit=FETCH_LIMIT)
        if outcome.reason == "cancelled":
            raise Cancelled("Cancelled while the chart was fetched.")
        found = list(folder.glob("*.tgz"))
        if not outcome.succeeded or len(found) != 1:
            raise TargetUntouched(f"The chart can't be fetched: {outcome.last_line}"[:500], code="registry")
        if digest_of(found[0]) != chart["sha256"]:
            raise ArtifactRejected(f"{chart['source']} gives another archive than the release was sealed with.")
        try:
            store.put_file(found[0])
        except StoreFull as error:
            raise TargetUntouched(str(error), code="store-full") from error
    return True


def values_of(configuration: Mapping[str, str]) -> str:
    """Return a configuration as helm's values: `image__tag` is `image.tag`; true, false and whole numbers are typed.

    Where a name is a value and a branch at once, the branch wins.
    """
    values: dict[str, Any] = {}
    for name, text in sorted(configuration.items()):
        *branches, last = name.split("__")
        place = values
        for branch in branches:
            if not isinstance(place.get(branch), dict):
                place[branch] = {}
            place = place[branch]
        place[last] = _typed(text)
    return json.dumps(values, sort_keys=True)


def _typed(text: str) -> str | int | bool:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if _INTEGER.fullmatch(text) else text
