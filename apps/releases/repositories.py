"""The Git repositories that the portal holds itself, and what a release may say of them."""

import hashlib
import json
import re
from typing import Any

from django.conf import settings

from apps.core.verdict import Invalid
from apps.integrations.git_repository import GitError, GitRepository, UnknownRef
from apps.releases.models import Service

FILE_LIMIT = 10_000_000  # bytes
# Where the source of a service that is built on push names its data migrations.
DECLARATION = ".eaip/migrations.json"
MOST_PATHS = 2_000


class TagUnknown(Invalid):
    code = "tag_unknown"
    next_step = "Push the tag first, or correct its name."


class TagOfAnotherVersion(Invalid):
    code = "tag_of_another_version"
    next_step = "A tag ends with the version that it names, such as v2.14.0."


class CommitUnknown(Invalid):
    code = "commit_unknown"


class MigrationFileDiffers(Invalid):
    code = "migration_file_differs"
    next_step = "Nothing was created. Write the checksum of the file as it is at the release's commit."


class DeclarationInvalid(Invalid):
    code = "declaration_invalid"
    next_step = f"Nothing was released. Correct {DECLARATION} and push again."


class CommitOfAnotherTag(Invalid):
    code = "commit_of_another_tag"
    next_step = "Leave the commit out: the tag says which one it is."


def repository_of(service: Service) -> GitRepository:
    """This function will return where the portal keeps the repository of a service that is built on push."""
    return GitRepository(settings.REPOSITORY_DIR / f"{service.slug}.git")


def commit_of(service: Service, *, version: str, tag: str, commit: str) -> str:
    """This function will return the whole hash of the commit that a release is of, as its repository says.

    A service whose repository is elsewhere can't be asked about: then the commit is what was given.
    Raises TagOfAnotherVersion: the tag names another version. Raises TagUnknown, CommitUnknown: the repository has no
    such thing. Raises CommitOfAnotherTag: the tag is of another commit.
    """
    if tag and not re.fullmatch(rf"(.*[^0-9.])?{re.escape(version)}", tag):
        raise TagOfAnotherVersion(f"The tag {tag} does not name the version {version}.")
    repository = repository_of(service)
    if not repository.path.is_dir():
        return commit
    try:
        given = repository.resolve(commit) if commit else ""
    except UnknownRef as error:
        raise CommitUnknown(f"The repository of {service} has no commit {commit}.") from error
    if not tag:
        return given
    try:
        tagged = repository.resolve(f"refs/tags/{tag}")
    except UnknownRef as error:
        raise TagUnknown(f"The repository of {service} has no tag {tag}.") from error
    if given and given != tagged:
        raise CommitOfAnotherTag(f"The tag {tag} names the commit {tagged[:12]}, not {given[:12]}.")
    return tagged


def require_file(service: Service, *, commit: str, path: str, sha256: str) -> None:
    """This function will refuse a checksum that is not of the file at a commit, where the portal holds the repository.

    Raises MigrationFileDiffers: there is no such file, or it has another checksum.
    """
    repository = repository_of(service)
    if not commit or not repository.path.is_dir():
        return
    found = _checksum(repository, commit, path)
    if found != sha256:
        raise MigrationFileDiffers(
            f"The file {path} has the checksum {found} at the commit {commit[:12]}, the manifest says {sha256}."
        )


def declared_migrations(repository: GitRepository, commit: str) -> list[Any]:
    """This function will return the data migrations that a commit declares, as a manifest lists them; most have none.

    The checksum of a row that names its path may be left out: it is that of the file.
    Raises DeclarationInvalid: the file is no list of objects in JSON. Raises MigrationFileDiffers: a path is no file.
    """
    try:
        rows = json.loads(repository.file(commit, DECLARATION, limit=FILE_LIMIT))
    except UnknownRef:
        return []
    except (ValueError, RecursionError) as error:
        raise DeclarationInvalid(f"{DECLARATION} at the commit {commit[:12]} is not JSON: {error}.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DeclarationInvalid(f"{DECLARATION} at the commit {commit[:12]} is not a list of objects.")
    for row in rows:
        if "sha256" not in row and isinstance(row.get("path"), str):
            row["sha256"] = _checksum(repository, commit, row["path"])
    return rows


def _checksum(repository: GitRepository, commit: str, path: str) -> str:
    try:
        return hashlib.sha256(repository.file(commit, path, limit=FILE_LIMIT)).hexdigest()
    except GitError as error:
        raise MigrationFileDiffers(str(error)) from error


def changed_paths(service: Service, *, since: str, commit: str) -> tuple[list[str], bool] | None:
    """This function will return the files that a commit changed beside an older one, and whether those are all.

    Shapes: None where the portal does not hold the repository, or no commit is known; all files where there is no
    older one. What can't be told, or is more than MOST_PATHS, is not all.
    """
    repository = repository_of(service)
    if not commit or not repository.path.is_dir():
        return None
    try:
        older = repository.resolve(since) if since else None
        paths = repository.changed_paths(older, commit)
    except GitError:
        return [], False
    return paths[:MOST_PATHS], len(paths) <= MOST_PATHS
