"""Sends what is due to receivers: one sender for each stream by lease, at least once, in order, nothing skipped.

The cursor moves only after the receiver has taken a batch, by an update that asks for the sender's own lease and for
the cursor as it was read. A sender that dies, or whose stream was paused or set back meanwhile, leaves it where it was.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.db.models import F

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.source import coming_from, task_source
from apps.compliance.models import AuditStream, StreamLetter
from apps.compliance.streams import entries
from apps.compliance.streams.deliver import ContentRefused, NotDelivered, deliver
from apps.compliance.streams.entries import Entry
from apps.core.clock import CLOCK, clock_in
from apps.core.clock import now as database_now
from apps.core.crashpoints import crashpoint
from apps.core.retries import pause_after
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

# Streams that one worker sends for at the same time; one whose receiver hangs holds up no other.
AT_ONCE = 4
# A sender goes on for so long before others get their turn.
TURN_SECONDS = 20.0
# Told in the trail after so many tries in a row: a receiver that restarts is nothing to write down.
TELL_AFTER = 3
# An entry that is refused by itself stands among the letters after so many tries.
REFUSALS = 3
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=10)
# After another server took over, what was sent in this time before is sent again: it may have lost what came last.
BACK = timedelta(days=1)


class Lost(Exception):
    """This sender goes on for nobody: the stream was paused, set back or removed, or another sender has it."""


@dataclass(frozen=True)
class Due:
    """A stream with something to send."""

    workspace_id: UUID
    id: UUID


def see_to_streams() -> int:
    """This function will send what is due, and return how many streams it was of.

    The sweeper of every worker calls it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id, id FROM streams_due()")
        found = [Due(*row) for row in cursor.fetchall()]
    if found:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stream") as pool:
            list(pool.map(_send_apart, found))
    return len(found)


def _send_apart(due: Due) -> None:
    try:
        with coming_from(task_source(stream_id=due.id)):
            send(due)
    except Exception:
        log.exception("stream %s could not be sent; it stays due", due.id)
    finally:
        connection.close()


def send(due: Due) -> None:
    """This function will send what waits of one stream, for one turn, unless somebody else does."""
    sender = Sender(due, uuid4())
    if not sender.taken():
        return
    until = time.monotonic() + TURN_SECONDS
    try:
        sender.send_letters()
        while time.monotonic() < until and sender.send_batch():
            pass
        sender.give_back()
    except Lost:
        log.info("stream %s goes on elsewhere, or was stopped", due.id)
    except NotDelivered as error:
        sender.failed(str(error))


class Sender:
    """One turn of one stream."""

    def __init__(self, due: Due, token: UUID) -> None:
        self.due, self.token = due, token
        self.stream: AuditStream

    def taken(self) -> bool:
        """Take the stream, and notice that the database is another than before."""
        with self._scope():
            found = AuditStream.objects.filter(pk=self.due.id)
            if not found.take(self.token, settings.STREAM_LEASE):
                return False
            self.stream = found.locked().select_related("workspace").get()
            size, server = entries.stands(self.due.workspace_id)
            if self.stream.server != server:
                self._begin_again(size, server)
        crashpoint("stream_taken")
        return True

    def send_batch(self) -> bool:
        """Send the next batch and move the cursor; False when nothing waits."""
        with self._scope():
            batch = entries.read(self.due.workspace_id, self.stream.next_leaf)
            self._renew()
        if not batch:
            return False
        try:
            deliver(self.stream, batch, now=database_now())
        except ContentRefused as refusal:
            self._one_by_one(batch, str(refusal))
            return True
        crashpoint("stream_sent")
        self._move(batch)
        return True

    def send_letters(self) -> None:
        """Send again what somebody asked for that a receiver had refused."""
        with self._scope():
            letters = list(
                StreamLetter.objects.filter(stream=self.stream, is_waiting=True).order_by("leaf_index")[:100]
            )
        for letter in letters:
            with self._scope():
                batch = entries.read(self.due.workspace_id, letter.leaf_index, at_most=1)
                self._renew()
            try:
                deliver(self.stream, batch, now=database_now())
            except ContentRefused as refusal:
                self._keep_letter(letter, detail=str(refusal))
            else:
                self._keep_letter(letter, is_sent=True)

    def failed(self, detail: str) -> None:
        """Write down that the receiver did not take it, and when it is tried again."""
        with self._scope():
            stream = AuditStream.objects.locked().filter(pk=self.due.id, lease_token=self.token).first()
            if stream is None:
                return
            tries = stream.tries + 1
            pause = pause_after(tries, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
            AuditStream.objects.filter(pk=stream.pk).update(
                tries=tries, detail=detail[:300], failing_since=stream.failing_since or CLOCK,
                next_try_at=clock_in(pause), lease_token=None, lease_until=None,
            )  # fmt: skip
            if tries == TELL_AFTER:
                audit.record(
                    "stream.failing", by=SYSTEM, target=stream, outcome="FAILED", reason=detail,
                    summary=f"“{stream}” does not take the audit trail", after={"next_leaf": stream.next_leaf},
                )  # fmt: skip

    def give_back(self) -> None:
        with self._scope():
            AuditStream.objects.filter(pk=self.due.id, lease_token=self.token).update(
                lease_token=None, lease_until=None
            )

    def _one_by_one(self, batch: Sequence[Entry], refusal: str) -> None:
        """Find which entries of a batch the receiver does not want: the others go on without them.

        One that refuses all of several is not asked about its taste: it is broken.
        """
        refused: list[tuple[Entry, str]] = []
        present = [entry for entry in batch if entry.canonical is not None]
        for entry in present:
            with self._scope():
                self._renew()
            try:
                deliver(self.stream, [entry], now=database_now())
            except ContentRefused as error:
                refused.append((entry, str(error)))
        if len(refused) == len(present) and (len(present) > 1 or self.stream.tries + 1 < REFUSALS):
            raise NotDelivered(f"It refuses every entry: {refusal}")
        self._move(batch, refused)

    def _move(self, batch: Sequence[Entry], refused: Sequence[tuple[Entry, str]] = ()) -> None:
        stream, last = self.stream, batch[-1]
        taken = sum(entry.canonical is not None for entry in batch) - len(refused)
        with self._scope():
            AuditStream.objects.locked().get(pk=stream.pk)
            moved = AuditStream.objects.filter(
                pk=stream.pk, lease_token=self.token, next_leaf=stream.next_leaf, state="ACTIVE"
            ).update(
                next_leaf=last.leaf_index + 1, delivered=F("delivered") + taken, delivered_at=CLOCK,
                known_until=last.recorded_at, tries=0, failing_since=None, detail="", next_try_at=None,
                lease_until=clock_in(settings.STREAM_LEASE),
            )  # fmt: skip
            if not moved:
                raise Lost
            for entry, detail in refused:
                self._lay_aside(entry, detail)
            if stream.tries >= TELL_AFTER:
                audit.record(
                    "stream.recovered", by=SYSTEM, target=stream, summary=f"“{stream}” takes the audit trail again",
                    after={"next_leaf": last.leaf_index + 1},
                )  # fmt: skip
        stream.next_leaf, stream.tries = last.leaf_index + 1, 0

    def _lay_aside(self, entry: Entry, detail: str) -> None:
        StreamLetter.objects.update_or_create(
            workspace_id=self.due.workspace_id, stream=self.stream, leaf_index=entry.leaf_index,
            defaults={"event_id": entry.event_id, "refused_at": CLOCK, "detail": detail[:300], "replayed_at": None},
        )  # fmt: skip
        audit.record(
            "stream.entry_refused", by=SYSTEM, target=self.stream, outcome="REFUSED", reason=detail,
            summary=f"“{self.stream}” refused the entry {entry.leaf_index}",
            after={"leaf": entry.leaf_index, "event_id": str(entry.event_id)},
        )  # fmt: skip

    def _keep_letter(self, letter: StreamLetter, *, detail: str = "", is_sent: bool = False) -> None:
        with self._scope():
            locked = StreamLetter.objects.locked().get(pk=letter.pk)
            StreamLetter.objects.filter(pk=locked.pk, is_waiting=True).update(
                is_waiting=False, tries=F("tries") + 1, **({"replayed_at": CLOCK} if is_sent else {"detail": detail})
            )
            if is_sent:
                audit.record(
                    "stream.replayed", by=SYSTEM, target=self.stream,
                    summary=f"Sent the entry {letter.leaf_index} to “{self.stream}” again",
                    after={"leaf": letter.leaf_index, "event_id": str(letter.event_id)},
                )  # fmt: skip

    def _renew(self) -> None:
        mine = AuditStream.objects.filter(pk=self.due.id, lease_token=self.token, state="ACTIVE")
        if not mine.update(lease_until=clock_in(settings.STREAM_LEASE)):
            raise Lost

    def _begin_again(self, size: int, server: str) -> None:
        """Another server took over, or a backup was restored: leaves that were sent may be others now."""
        stream, back = self.stream, self.stream.next_leaf
        if stream.server and stream.known_until:
            back = min(back, entries.first_since(self.due.workspace_id, stream.known_until - BACK), size)
        AuditStream.objects.filter(pk=stream.pk).update(server=server, next_leaf=back)
        if back != stream.next_leaf:
            audit.record(
                "stream.rewound", by=SYSTEM, target=stream, before={"next_leaf": stream.next_leaf},
                after={"next_leaf": back}, reason="Another database server took over, or a backup was restored.",
                summary=f"“{stream}” gets the last day again",
            )  # fmt: skip
        stream.server, stream.next_leaf = server, back

    @contextmanager
    def _scope(self) -> Iterator[None]:
        with workspace_scope([self.due.workspace_id]):
            yield
