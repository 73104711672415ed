import os
import subprocess
from pathlib import Path

import pytest

from apps.deployments.executors.builder import build
from apps.deployments.executors.contract import ReleaseFailed
from apps.deployments.executors.manifest import digest_of
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.git_repository import GitRepository, UnknownRef
from deploy.local import make_greeter


def test_the_same_commit_gives_the_same_artifact(repository: GitRepository, tmp_path: Path) -> None:
    lines: list[str] = []
    commit = repository.resolve("v1.1.0")
    other = make_greeter.make(tmp_path / "other.git")

    one = build(repository, commit, store=ArtifactStore(tmp_path / "one"), log=lines.append)
    two = build(other, other.resolve("v1.1.0"), store=ArtifactStore(tmp_path / "two"), log=lines.append)

    assert one == two
    assert (one.commit, one.version, one.digest) == (commit, "1.1.0", digest_of(one.manifest["wheels"]))
    assert ArtifactStore(tmp_path / "one").has(one.manifest["wheels"][0]["sha256"])
    assert any("Successfully built" in line for line in lines)


def test_a_source_that_does_not_build_is_said_with_its_reason(tmp_path: Path) -> None:
    work, bare = tmp_path / "work", tmp_path / "broken.git"
    work.mkdir()
    (work / "pyproject.toml").write_text("this is not TOML")
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "--message", "feat: nothing")
    git(work, "clone", "--quiet", "--bare", ".", str(bare))
    store = ArtifactStore(tmp_path / "store")
    repository = GitRepository(bare)

    with pytest.raises(ReleaseFailed, match=r"Building .* ended with exited"):
        build(repository, repository.resolve("main"), store=store, log=print)

    assert not store.root.exists()


def test_an_unknown_commit_is_refused(repository: GitRepository, tmp_path: Path) -> None:
    with pytest.raises(UnknownRef):
        repository.commit("v1.0.0")
    with pytest.raises(UnknownRef):
        build(repository, "--output=/tmp/x", store=ArtifactStore(tmp_path), log=print)


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Developer", "-c", "user.email=developer@example.com")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, env={"PATH": os.environ["PATH"]})
