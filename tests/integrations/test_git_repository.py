from pathlib import Path

import pytest

from apps.integrations.git_repository import GitError, GitRepository, UnknownRef
from deploy.local import make_greeter


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    return make_greeter.make(tmp_path_factory.mktemp("git") / "greeter.git")


def test_tags_and_branches_resolve_to_commits(repository: GitRepository) -> None:
    tags = repository.tags()

    assert list(tags)[:4] == ["v1.0.0", "v1.0.1", "v1.1.0", "v2.0.0"]
    assert repository.resolve("v2.0.0") == tags["v2.0.0"]
    assert repository.resolve("develop") == repository.resolve("main") == tags["v2.3.1"]
    assert repository.resolve(tags["v1.0.0"]) == tags["v1.0.0"]


@pytest.mark.parametrize(
    "ref", ["v9.9.9", "--upload-pack=x", "-h", "v1.0.0..v2.0.0", "a b", "", "HEAD~1;id", "v1^{tree}"]
)
def test_what_is_no_ref_is_refused(repository: GitRepository, ref: str) -> None:
    with pytest.raises(UnknownRef):
        repository.resolve(ref)


def test_commits_between_two_versions_come_newest_first(repository: GitRepository) -> None:
    found = repository.commits(repository.resolve("v1.0.1"), repository.resolve("v1.1.0"))

    assert [commit.subject for commit in found] == [
        "chore(release): 1.1.0",
        "docs: say how to greet by name",
        "feat: greet by name",
    ]
    assert found[-1].body == "`/?name=Ada` greets Ada."
    assert found[-1].author == "Platform developer"


def test_ancestry(repository: GitRepository) -> None:
    old, new = repository.resolve("v1.0.0"), repository.resolve("v2.0.0")

    assert repository.is_ancestor(old, new)
    assert not repository.is_ancestor(new, old)


def test_an_archive_is_the_same_each_time(repository: GitRepository, tmp_path: Path) -> None:
    commit = repository.resolve("v1.0.0")
    repository.archive(commit, tmp_path / "one.tar")
    repository.archive(commit, tmp_path / "two.tar")

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_the_history_is_the_same_each_time(repository: GitRepository, tmp_path: Path) -> None:
    assert make_greeter.make(tmp_path / "again.git").tags() == repository.tags()


def test_a_changelog_names_types_and_breaking_changes(repository: GitRepository) -> None:
    (release,) = repository.changelog("v1.1.0", "v2.0.0")

    breaking = next(commit for commit in release["commits"] if commit["breaking"])
    assert release["version"] == "v2.0.0"
    assert breaking["group"] == "Features"
    assert "plain text" in breaking["breaking_description"]


def test_a_changelog_keeps_commits_that_follow_no_convention(tmp_path: Path) -> None:
    repository = make_greeter.make(tmp_path / "greeter.git")
    tree = repository.run("rev-parse", "main^{tree}").strip()
    author = ("-c", "user.name=Developer", "-c", "user.email=developer@example.com")
    commit = repository.run(*author, "commit-tree", tree, "-p", "main", "-m", "Tidy up without a type").strip()
    repository.run("update-ref", "refs/heads/main", commit)

    (release,) = repository.changelog("v2.3.1", "main")

    assert [(entry["message"], entry["group"]) for entry in release["commits"]] == [("Tidy up without a type", "Other")]


def test_a_folder_that_is_no_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GitError):
        GitRepository(tmp_path).tags()
