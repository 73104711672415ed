"""The Git repository of the policies, where somebody keeps one: what it says is proposed and decided on like any text.

A commit says who wrote it and proves nothing: whoever proposes it answers for it, and another person decides.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

from apps.core.canonical import sha256_of
from apps.core.verdict import Invalid
from apps.environments.enums import Tier
from apps.integrations.git_repository import Commit, GitError, GitRepository, UnknownRef
from apps.policies import sources
from apps.policies.models import PolicyVersion


class CommitUnknown(Invalid):
    code = "policy_commit_unknown"
    next_step = "Nothing was proposed. Push the commit to the branch that is read, then propose it from the policies."


@dataclass(frozen=True)
class Written:
    """What a commit says of a tier. `document` is None where it is no policy, and `problem` says why."""

    tier: str
    commit: Commit
    source: str
    document: dict[str, Any] | None
    problem: str = ""

    @property
    def label(self) -> str:
        return Tier(self.tier).label

    @property
    def digest(self) -> str | None:
        return sha256_of(self.document) if self.document else None


def otherwise(versions: Iterable[PolicyVersion]) -> list[Written]:
    """This function will return what the branch says now of the tiers of which it says something else; nothing without
    a repository or branch, or of a tier without a file.
    """
    found = []
    with suppress(GitError):
        commit = _repository().resolve(_branch())
        for version in versions:
            with suppress(GitError):
                found.append((version, _written(version.tier, commit)))
    return [written for version, written in found if written.digest != version.digest]


def at(tier: str, commit: str) -> Written:
    """This function will return what a commit of the branch says of a tier.

    Raises CommitUnknown: the branch has no such commit, or that has no such file.
    """
    repository = _repository()
    try:
        if not repository.is_ancestor(commit, repository.resolve(_branch())):
            raise CommitUnknown(f"The branch {settings.POLICY_BRANCH} has no commit {commit[:12]}.")
        return _written(tier, commit)
    except GitError as error:
        raise CommitUnknown(str(error)) from error


def _repository() -> GitRepository:
    path = settings.REPOSITORY_DIR / f"{settings.POLICY_REPOSITORY}.git"
    if not path.is_dir():
        raise UnknownRef("There is no repository of the policies.")
    return GitRepository(path)


def _branch() -> str:
    return f"refs/heads/{settings.POLICY_BRANCH}"


@lru_cache(maxsize=16)
def _written(tier: str, commit: str) -> Written:
    repository = _repository()
    source = repository.file(commit, f"{tier.lower()}.yaml", limit=sources.LARGEST_BYTES)
    text, of = source.decode(errors="replace"), repository.commit(commit)
    try:
        document, _policy = sources.read(source, tier=tier)
    except sources.InvalidSource as error:
        return Written(tier, of, text, None, error.sentence)
    return Written(tier, of, text, document)
