"""What one process knows of open streams: who watches which region, and what changed since each was rendered.

A feed is one region for one subject, one set of workspaces and one set of filters. It is rendered once for all who
watch it: at the first hint at once, then at most once a second.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from django.utils import timezone
from django.utils.html import escape

from apps.core import live
from apps.workspaces.scope import workspace_scope
from eaip.live.desk import Desk

log = logging.getLogger(__name__)

BEAT = b"event: beat\ndata: -\n\n"
POLL = b"event: poll\ndata: -\n\n"
OUTBOX = 200

Telling = Callable[[live.Viewer], bytes]


@dataclass(frozen=True)
class Rendered:
    """One rendering, as the data lines of a message; empty bytes mean that there is nothing to say."""

    cursor: live.Cursor
    mark: str
    body: bytes | Telling

    def body_for(self, viewer: live.Viewer) -> bytes:
        return self.body if isinstance(self.body, bytes) else self.body(viewer)


@dataclass(eq=False)
class Stream:
    """One open page. `None` in the outbox ends it; a page that reads too slowly is cut and resumes by itself."""

    viewer: live.Viewer
    session: str
    cursor: live.Cursor
    feeds: list["Feed"] = field(default_factory=list)
    outbox: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(OUTBOX))
    is_cut: bool = False

    def send(self, message: bytes) -> None:
        if self.is_cut:
            return
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.cut()

    def cut(self) -> None:
        if self.is_cut:
            return
        self.is_cut = True
        while self.outbox.full():
            self.outbox.get_nowait()
        self.outbox.put_nowait(None)

    def mark(self, feed: "Feed") -> str:
        return self.cursor.marks.get(feed.region.name, "")

    def tell(self, feed: "Feed", rendered: Rendered) -> None:
        """Send what was rendered. The id moves on only when no other region of the page is behind."""
        marks = self.cursor.marks
        if rendered.mark:
            marks = {**marks, feed.region.name: rendered.mark}
        settled = all(other is feed or not other.is_behind for other in self.feeds)
        self.cursor = replace(rendered.cursor if settled else self.cursor, marks=marks)
        if body := rendered.body_for(self.viewer):
            self.send(b"id: %s\n%s\n" % (str(self.cursor).encode(), body))


@dataclass(eq=False)
class Feed:
    region: live.Region
    ask: live.Ask
    desk: Desk
    interval: float
    streams: set[Stream] = field(default_factory=set)
    owed: set[Stream] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    last: float = float("-inf")
    whole: Rendered | None = None
    whole_at: float = float("-inf")
    task: asyncio.Task[None] | None = None
    is_rendering: bool = False

    @property
    def is_behind(self) -> bool:
        return bool(self.changed or self.owed) or self.is_rendering

    def hear(self, workspace: UUID, topics: frozenset[str]) -> None:
        if workspace not in self.ask.workspaces:
            return
        if concerned := self.region.concerns(topics, self.ask.subject):
            self.changed |= concerned
            self.whole = None
            self._wake()

    def owe(self, streams: set[Stream]) -> None:
        """Send the whole region to these streams."""
        self.owed |= streams
        self._wake()

    def _wake(self) -> None:
        if self.task is None and self.streams:
            self.task = asyncio.create_task(self._keep_up())

    async def _keep_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (self.changed or self.owed) and self.streams:
                await asyncio.sleep(max(0.0, self.last + self.interval - loop.time()))
                self.last = loop.time()
                changed, owed = frozenset(self.changed), self.owed & self.streams
                self.changed, self.owed, self.is_rendering = set(), set(), True
                await self._tell(self.streams - owed if changed else set(), changed)
                await self._tell(owed, None)
                self.is_rendering = False
        finally:
            self.task, self.is_rendering = None, False

    async def _tell(self, streams: set[Stream], changed: frozenset[str] | None) -> None:
        by_mark: dict[str, list[Stream]] = defaultdict(list)
        for stream in streams:
            by_mark[stream.mark(self)].append(stream)
        for mark, alike in by_mark.items():
            if (rendered := await self.render(changed, mark)) is None:
                continue
            for stream in alike:
                stream.tell(self, rendered)

    async def render(self, changed: frozenset[str] | None, mark: str) -> Rendered | None:
        """Render for those who have it up to this mark; None when that failed, which is logged."""
        loop = asyncio.get_running_loop()
        if changed is None and not mark and self.whole is not None and loop.time() - self.whole_at < self.interval:
            return self.whole
        ask = replace(self.ask, changed=changed, mark=mark, now=timezone.now())
        try:
            rendered = await self.desk.run(partial(_rendered, self.region, ask))
        except Exception:
            log.exception("live region %s could not be rendered", self.region.name)
            return None
        if changed is None and not mark and not self.changed:
            self.whole, self.whole_at = rendered, loop.time()
        return rendered


def _rendered(region: live.Region, ask: live.Ask) -> Rendered:
    with workspace_scope(ask.workspaces):
        cursor = live.cursor_now()
        answer = region.render(ask)
        mark = answer.mark if isinstance(answer, live.Marked) else ""
        if callable(answer):
            return Rendered(cursor, mark, lambda viewer: _body(region, answer(viewer)))
        return Rendered(cursor, mark, _body(region, answer))


def _body(region: live.Region, answer: live.Answer) -> bytes:
    if isinstance(answer, live.Marked):
        answer = answer.parts
    if isinstance(answer, str):
        answer = [live.Part(f"#{region.name}", answer)] if answer else []
    return b"".join(
        b"data: %s\n" % line.encode() for part in answer for line in _markup(part).split("\n") if line.strip()
    )


def _markup(part: live.Part) -> str:
    if not part.target:
        return part.html
    return f'<hx-partial hx-target="{escape(part.target)}" hx-swap="{part.swap}">{part.html}</hx-partial>'


class Hub:
    """The streams and feeds of this process."""

    def __init__(self, *, desk: Desk, interval: float) -> None:
        self.desk = desk
        self.interval = interval
        self.is_told = False  # whether hints arrive; without them pages poll
        self.streams: set[Stream] = set()
        self._feeds: dict[Hashable, Feed] = {}

    def feeds_of(self, page: live.LivePage, ask: live.Ask, viewer: live.Viewer) -> list[Feed]:
        return [self._feed(region, ask, viewer) for region in (*page.regions, *live.frame)]

    def _feed(self, region: live.Region, ask: live.Ask, viewer: live.Viewer) -> Feed:
        if region.everywhere:
            ask = replace(ask, workspaces=viewer.workspaces, subject="", query={})
        key = (region.name, ask.subject, ask.workspaces, tuple(sorted(ask.query.items())))
        return self._feeds.setdefault(key, Feed(region, ask, self.desk, self.interval))

    def open(self, stream: Stream, feeds: Sequence[Feed], owed: frozenset[str]) -> None:
        self.streams.add(stream)
        stream.feeds = list(feeds)
        for feed in feeds:
            feed.streams.add(stream)
            if feed.region.name in owed:
                feed.owe({stream})
        if not self.is_told:
            stream.send(POLL)

    def close(self, stream: Stream) -> None:
        self.streams.discard(stream)
        for feed in stream.feeds:
            feed.streams.discard(stream)
            feed.owed.discard(stream)

    def hear(self, workspace: UUID, topics: frozenset[str]) -> None:
        for feed in list(self._feeds.values()):
            feed.hear(workspace, topics)

    def lose(self) -> None:
        """Hints don't arrive any more: tell every page to poll."""
        self.is_told = False
        for stream in self.streams:
            stream.send(POLL)

    def regain(self) -> None:
        """Hints arrive again: send everything, since some were missed; that also ends the polling."""
        self.is_told = True
        for feed in self._feeds.values():
            feed.owe(set(feed.streams))

    def open_by(self, user_id: UUID) -> int:
        return sum(stream.viewer.user_id == user_id for stream in self.streams)

    async def beat(self) -> None:
        """Show every page that its stream lives, and forget feeds that nobody watches."""
        for number, stream in enumerate(list(self.streams)):
            stream.send(BEAT)
            if number % 50 == 49:
                await asyncio.sleep(0)
        self._feeds = {key: feed for key, feed in self._feeds.items() if feed.streams or feed.task}
