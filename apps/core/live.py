"""Live pages: hints of what changed, and the register of regions that are rendered anew when it did.

An app names the parts of its pages once, in `regions.py`, imported when the app is ready:

    STEPS = live.region("steps", topics=("deployment:{subject}",), render=lambda ask: render_to_string(...))
    live.page("deployment", STEPS, may_watch=lambda ask: ...)

The view hands `live.stream("deployment", subject=deployment.pk)` to the template, which shows it by
`{% include "components/live.html" with stream=stream only %}`. eaip/live streams the rest.

A hint is no truth and may be lost, late or repeated. A dead Redis costs nobody more than a second, and then nothing
for a while: pages fall back to polling.
"""

import base64
import binascii
import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection, transaction

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.5
REST_SECONDS = 5.0

_resting_until = 0.0


def channel() -> str:
    """Return the name of this installation's channel: Redis itself does not part channels by database number."""
    return f"eaip:{urlsplit(settings.REDIS_URL).path.strip('/') or '0'}:live"


def hint(workspace_id: UUID, *topics: str) -> None:
    """Tell open pages, once the transaction is committed, that these topics of the workspace changed.

    Topics: "lane:<id>", "deployment:<id>" (states, steps, samples), "log:<id>" (new lines of a deployment's log),
    "promotion:<id>", "release:<id>", "environment:<id>", "user:<id>", "freeze", "audit".
    """
    message = json.dumps({"workspace": str(workspace_id), "topics": topics})
    transaction.on_commit(lambda: _publish(message), robust=True)


def _publish(message: str) -> None:
    global _resting_until
    if time.monotonic() < _resting_until:
        return
    try:
        _client().publish(channel(), message)
    except (redis.RedisError, OSError) as error:
        _resting_until = time.monotonic() + REST_SECONDS
        log.warning("open pages are not told of changes for %s s: %s", REST_SECONDS, error)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS
    )


@dataclass(frozen=True)
class Viewer:
    """Who watches: what a personal region may depend on."""

    user_id: UUID
    workspaces: tuple[UUID, ...]


@dataclass(frozen=True)
class Ask:
    """What a region is rendered for. The transaction sees `workspaces` only.

    `subject` is the id in the page's address ("" where it has none), `query` its filters. `changed` holds the topics
    since the last rendering, None asks for the whole region. `mark` is how far the page has a region that grows: what
    comes after it is appended; with "" the region is replaced.
    """

    workspaces: tuple[UUID, ...]
    subject: str
    query: Mapping[str, str]
    now: datetime
    changed: frozenset[str] | None = None
    mark: str = ""


@dataclass(frozen=True)
class Part:
    """HTML for the elements that a CSS selector finds, swapped in as htmx's `hx-swap` says.

    Without a target the HTML brings its own `<hx-partial>` elements: cheaper where there are many.
    """

    target: str
    html: str
    swap: str = "innerMorph"


@dataclass(frozen=True)
class Marked:
    """Parts of a region that grows (a log), with how far they bring it."""

    parts: Sequence[Part]
    mark: str


# A text is the inner HTML of the element whose id is the region's name. Nothing to say is "" or ().
Answer = str | Sequence[Part] | Marked
# A personal region is loaded once for all who watch; the function then tells each of them, without a query.
Render = Callable[[Ask], Answer | Callable[[Viewer], Answer]]


@dataclass(frozen=True)
class Region:
    """A part of a page.

    `topics` may hold "{subject}" and end in "*". `everywhere` looks past the page's filters. `is_moving` says whether
    it may have changed since the page was made although the ledger did not (steps, samples); a region that grows is
    always asked.
    """

    name: str
    topics: tuple[str, ...]
    render: Render = field(compare=False)
    everywhere: bool = False
    is_moving: Callable[[Ask], bool] | None = field(default=None, compare=False)

    def concerns(self, topics: frozenset[str], subject: str) -> frozenset[str]:
        """Return those of the topics that this region of this subject shows."""
        wanted = [topic.replace("{subject}", subject) for topic in self.topics]
        exact = {topic for topic in wanted if not topic.endswith("*")}
        beginnings = tuple(topic[:-1] for topic in wanted if topic.endswith("*"))
        return frozenset(topic for topic in topics if topic in exact or (beginnings and topic.startswith(beginnings)))


@dataclass(frozen=True)
class LivePage:
    """The regions of one page, and whether somebody who sees these workspaces may watch its subject."""

    name: str
    regions: tuple[Region, ...]
    may_watch: Callable[[Ask], bool]


pages: dict[str, LivePage] = {}


def region(
    name: str,
    *,
    topics: tuple[str, ...],
    render: Render,
    everywhere: bool = False,
    is_moving: Callable[[Ask], bool] | None = None,
) -> Region:
    return Region(name, topics, render, everywhere, is_moving)


def page(name: str, *regions: Region, may_watch: Callable[[Ask], bool] = lambda ask: not ask.subject) -> LivePage:
    """Put a page into the register: /live/<name>/ or, with a subject, /live/<name>/<id>/."""
    pages[name] = LivePage(name, regions, may_watch)
    return pages[name]


# Regions of the frame, which every live page carries.
frame: list[Region] = []


@dataclass(frozen=True)
class Cursor:
    """Where a page stands: the database's moment (with the database's own name), and the marks of growing regions.

    `snapshot` is a pg_snapshot, so that "did anything commit since" has an exact answer, slow transactions included.
    """

    snapshot: str
    epoch: str
    marks: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = json.dumps([self.snapshot, self.epoch, dict(self.marks)], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


_SNAPSHOT = re.compile(r"^\d+:\d+:[\d,]*$")


def read_cursor(text: str) -> Cursor | None:
    """Return the cursor that a page sent back; None for one that can't be read."""
    try:
        snapshot, epoch, marks = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor = Cursor(str(snapshot), str(epoch), {str(name): str(mark) for name, mark in marks.items()})
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return None
    return cursor if _SNAPSHOT.match(cursor.snapshot) else None


def cursor_now(marks: Mapping[str, str] | None = None) -> Cursor:
    """Return where the database stands before the caller's next query."""
    with connection.cursor() as sql:
        sql.execute("SELECT pg_current_snapshot()::text, system_identifier FROM pg_control_system()")
        snapshot, system = sql.fetchone()
    return Cursor(snapshot, str(system), marks or {})


@dataclass(frozen=True)
class Stream:
    """The addresses of a page's one stream, for templates/components/live.html."""

    url: str
    poll_url: str


def stream(
    page: str, *, subject: object = "", query: Mapping[str, Any] | None = None, marks: Mapping[str, str] | None = None
) -> Stream:
    """Return the page's stream. Call it before the queries whose rows the page shows, so that nothing falls between."""
    name = f"{pages[page].name}/{subject}/" if subject else f"{pages[page].name}/"
    kept = {key: str(value) for key, value in (query or {}).items() if value}
    address = urlencode({**kept, "since": str(cursor_now(marks))})
    return Stream(f"/live/{name}?{address}", f"/poll/{name}?{address}")
