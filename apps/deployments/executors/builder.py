"""From a commit to an artifact: a wheel built offline under the guard, the same bytes for the same commit."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename
from uv import find_uv_bin

from apps.deployments.executors.contract import ArtifactRejected, Log, ReleaseFailed, TargetUntouched
from apps.deployments.executors.guard import Lifeline, run
from apps.deployments.executors.manifest import BUILD, Wheel, digest_of
from apps.integrations.artifact_store import ArtifactStore, StoreFull, UnsafeArchive, unpack
from apps.integrations.git_repository import GitRepository

LIMIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class BuiltArtifact:
    digest: str
    manifest: dict[str, Any]
    commit: str
    version: str
    """As the source says it (PEP 440); the release's own version comes from its tag."""


def build(
    repository: GitRepository, commit: str, *, store: ArtifactStore, log: Log, lifeline: Lifeline | None = None
) -> BuiltArtifact:
    """Build the wheel of a commit and keep it in the store.

    Raises ReleaseFailed: the source doesn't build. Raises ArtifactRejected: unsafe or not exactly one wheel.
    Raises TargetUntouched: no room left. Raises UnknownRef, GitError: no such commit.
    """
    with tempfile.TemporaryDirectory(prefix="eaip-build-") as name:
        folder = Path(name)
        source, result = folder / "source", folder / "result"
        source.mkdir()
        repository.archive(commit, folder / "source.tar")
        try:
            unpack(folder / "source.tar", source)
        except UnsafeArchive as error:
            raise ArtifactRejected(f"The source of {commit[:12]} can't be unpacked: {error}") from error
        outcome = run(
            [
                *(find_uv_bin(), "build", "--wheel", "--offline", "--no-config", "--no-cache"),
                *("--out-dir", str(result), str(source)),
            ],
            cwd=folder,
            env={"HOME": name, "SOURCE_DATE_EPOCH": _built_at(repository, commit), "NO_COLOR": "1"},
            log=log,
            lifeline=lifeline,
            limit=LIMIT_SECONDS,
        )
        if not outcome.succeeded:
            raise ReleaseFailed(f"Building {commit[:12]} ended with {outcome.reason}: {outcome.last_line}")
        return _keep(sorted(result.glob("*.whl")), commit, store)


def _built_at(repository: GitRepository, commit: str) -> str:
    return str(int(repository.commit(commit).committed_at.timestamp()))


def _keep(wheels: list[Path], commit: str, store: ArtifactStore) -> BuiltArtifact:
    if len(wheels) != 1:
        raise ArtifactRejected(f"Building {commit[:12]} gave {len(wheels)} wheels, one was expected.")
    project, version, *_ = parse_wheel_filename(wheels[0].name)
    try:
        sha256, size = store.put_file(wheels[0])
    except StoreFull as error:
        raise TargetUntouched(str(error), code="store-full") from error
    wheel = asdict(Wheel(project, str(version), wheels[0].name, sha256, size, source=BUILD))
    manifest = {"program": project, "wheels": [wheel]}
    return BuiltArtifact(digest_of([wheel]), manifest, commit, str(version))
