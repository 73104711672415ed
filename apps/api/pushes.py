"""What a push event says, as GitHub writes it (docs.github.com, webhook events and payloads, push). Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.api.bodies import field
from apps.api.problems import FieldInvalid, PushStale

FRESH = timedelta(minutes=5)
BRANCH, TAGS = "refs/heads/develop", "refs/tags/v"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"refs/(heads|tags)/[A-Za-z0-9][A-Za-z0-9._/+-]{0,180}")


@dataclass(frozen=True)
class Push:
    ref: str
    commit: str
    pusher: str
    author_email: str
    committer_email: str

    @property
    def is_release(self) -> bool:
        """Whether it names something that becomes a release: a version's tag, or the branch that deploys itself."""
        return self.ref == BRANCH or (self.ref.startswith(TAGS) and self.ref[len(TAGS) :][:1].isdigit())


def read_push(payload: dict[str, Any], now: datetime) -> Push | None:
    """This function will read a push event; None for one that takes a branch or tag away.

    Raises FieldInvalid: a field is missing or malformed. Raises PushStale: the push is older than five minutes.
    """
    ref = field(payload, "ref", str)
    if not _REF.fullmatch(ref) or ".." in ref:
        raise FieldInvalid("The field ref names neither a branch nor a tag.")
    pushed_at = field(field(payload, "repository", dict), "pushed_at", int)
    if not 0 <= pushed_at < 1 << 40 or abs(now - datetime.fromtimestamp(pushed_at, UTC)) > FRESH:
        raise PushStale("This push is older than five minutes. Push again, or send it anew.")
    if field(payload, "deleted", bool, False):
        return None
    head = field(payload, "head_commit", dict)
    commit = field(head, "id", str)
    if not _COMMIT.fullmatch(commit):
        raise FieldInvalid("The field head_commit.id is not a full commit hash.")
    pusher = field(payload, "pusher", dict)
    return Push(
        ref=ref,
        commit=commit,
        pusher=field(pusher, "name", str),
        author_email=field(field(head, "author", dict, {}), "email", str, ""),
        committer_email=field(field(head, "committer", dict, {}), "email", str, ""),
    )
