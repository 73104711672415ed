"""What commits change, as entries of a changelog: Conventional Commits 1.0.0 by their type, others as they are."""

import re
from typing import Any

from apps.changelogs.enums import ChangeKind
from apps.integrations.git_repository import Commit, GitRepository

KINDS = {
    "feat": ChangeKind.FEATURE,
    "fix": ChangeKind.FIX,
    "perf": ChangeKind.PERFORMANCE,
    "docs": ChangeKind.DOCUMENTATION,
    "deps": ChangeKind.DEPENDENCY,
}
_CONVENTIONAL = re.compile(r"(?P<type>[a-z]+)(?:\((?P<scope>[^)]{1,60})\))?(?P<breaking>!)?: (?P<text>.+)")
_BREAKING = re.compile(r"^BREAKING[ -]CHANGE: ", re.MULTILINE)
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]+")


def changes_of(repository: GitRepository, since: str | None, until: str) -> list[dict[str, Any]]:
    """This function will return what changed between two commits, newest first; setting a version is no change."""
    commits = repository.commits(since, until)
    return [change_of(commit) for commit in commits if not commit.subject.startswith("chore(release)")]


def change_of(commit: Commit) -> dict[str, Any]:
    """This function will read one commit, whatever somebody wrote into it."""
    subject = _plain(commit.subject) or "No message"
    read = _CONVENTIONAL.fullmatch(subject)
    return {
        "kind": KINDS.get(read["type"], ChangeKind.OTHER) if read else ChangeKind.OTHER,
        "scope": (read["scope"] or "") if read else "",
        "text": (read["text"].strip() if read else subject)[:500] or subject[:500],
        "is_breaking": bool((read and read["breaking"]) or _BREAKING.search(commit.body)),
        "commit": commit.hash,
        "author_label": _plain(commit.author)[:150],
    }


def _plain(text: str) -> str:
    return _INVISIBLE.sub(" ", text).strip()
