"""The Git repositories that the portal holds itself, and what a release may say of them."""

import re

from django.conf import settings

from apps.core.verdict import Invalid
from apps.integrations.git_repository import GitRepository, UnknownRef
from apps.releases.models import Service


class TagUnknown(Invalid):
    code = "tag_unknown"
    next_step = "Push the tag first, or correct its name."


class TagOfAnotherVersion(Invalid):
    code = "tag_of_another_version"
    next_step = "A tag ends with the version that it names, such as v2.14.0."


class CommitUnknown(Invalid):
    code = "commit_unknown"


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
