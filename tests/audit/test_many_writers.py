"""A3: many writers, some of whose transactions commit late, beside two real processes that seal, one of them killed.

EAIP_TEST_WRITING_SECONDS says for how long they write: the requirement's ten minutes are 600, the default is short.
What an entry costs beside them is told by a process of its own, which writes the same row without one as often.
"""

import bisect
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, transaction

from apps.audit.merkle import Tree, leaf_hash
from apps.workspaces.scope import workspace_scope
from bench.table import print_table
from tests.audit.one_writer import COMMAND, PLAIN, WARMING, write_entry
from tests.engines import renamed
from tests.processes import Child, eventually, start_command

SECONDS = float(os.environ.get("EAIP_TEST_WRITING_SECONDS", "20"))
WRITERS, LATE_WRITERS = 64, 4
LATE_SECONDS = min(30.0, SECONDS / 4)
PAUSE_SECONDS = 2.0  # at most, before a writer writes again
ROLLED_BACK = 0.05
# Where a row without an entry takes longer than that, others want the processor, and that is what would be measured.
MOST_MORE_MS = 5
IS_SHORT = SECONDS < 120
QUICK = {"AUDIT_LOOK_SECONDS": "0.5", "AUDIT_CHECKPOINT_SECONDS": "2"} if IS_SHORT else {}
WORKSPACES = [uuid4() for _ in range(4)]

SIGNED = "SELECT workspace_id, max(tree_size) FROM audit_checkpoint GROUP BY workspace_id"
LEAVES = "SELECT workspace_id, leaf_index, event_id, leaf_hash FROM audit_leaf ORDER BY workspace_id, leaf_index"
CHECKPOINTS = "SELECT workspace_id, tree_size, root_hash FROM audit_checkpoint"


@dataclass
class Written:
    """What the writers did, and when each commit was over."""

    committed: dict[UUID, float] = field(default_factory=dict)
    taken_back: set[UUID] = field(default_factory=set)
    late: set[UUID] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


class Writer(threading.Thread):
    def __init__(self, number: int, until: float, written: Written) -> None:
        super().__init__(name=f"writer-{number}")
        self.workspace, self.is_late = WORKSPACES[number % len(WORKSPACES)], number < LATE_WRITERS
        self.chance, self.until, self.written = random.Random(number), until, written

    def run(self) -> None:
        try:
            while time.monotonic() < self.until:
                if self.is_late:
                    self.late()
                else:
                    self.write()
                    time.sleep(self.chance.uniform(0, PAUSE_SECONDS))
        except Exception as error:  # noqa: BLE001  judged by the test
            self.written.errors.append(repr(error))
        finally:
            connection.close()

    def write(self) -> None:
        is_kept = self.chance.random() > ROLLED_BACK
        with workspace_scope([self.workspace]):
            entry = write_entry(self.workspace)
            transaction.set_rollback(not is_kept)
        if is_kept:
            self.written.committed[entry] = time.time()
        else:
            self.written.taken_back.add(entry)

    def late(self) -> None:
        """One entry at the beginning of a transaction, and one at its end."""
        with workspace_scope([self.workspace]):
            entries = {write_entry(self.workspace)}
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", [LATE_SECONDS * self.chance.uniform(0.9, 1)])
            entries.add(write_entry(self.workspace))
        self.written.late |= entries
        self.written.committed |= dict.fromkeys(entries, time.time())


class Seen:
    """When how much of each log was in a checkpoint that others can read."""

    def __init__(self, own: psycopg.Connection) -> None:
        self.own = own
        self.sizes: dict[UUID, list[int]] = defaultdict(list)
        self.moments: dict[UUID, list[float]] = defaultdict(list)

    def look(self) -> dict[UUID, int]:
        signed = dict(self.own.execute(SIGNED).fetchall())
        for workspace, size in signed.items():
            if not self.sizes[workspace] or size > self.sizes[workspace][-1]:
                self.sizes[workspace].append(size)
                self.moments[workspace].append(time.time())
        return signed

    def moment(self, workspace: UUID, leaf: int) -> float:
        return self.moments[workspace][bisect.bisect_right(self.sizes[workspace], leaf)]


@dataclass(frozen=True)
class Ledger:
    """What stands in the database when all is over."""

    places: dict[UUID, tuple[UUID, int]]
    leaves: int
    forks: int
    wrong: int
    refused: int
    deadlocks: int


def read(own: psycopg.Connection) -> Ledger:
    canonical = dict(own.execute("SELECT event_id, canonical FROM audit_event").fetchall())
    signed: dict[tuple[UUID, int], set[bytes]] = defaultdict(set)
    for workspace, size, root in own.execute(CHECKPOINTS).fetchall():
        signed[workspace, size].add(bytes(root))
    leaves = own.execute(LEAVES).fetchall()
    trees: dict[UUID, Tree] = defaultdict(Tree)
    forks = wrong = 0
    for workspace, index, event, kept in leaves:
        tree = trees[workspace]
        wrong += leaf_hash(canonical.get(event, b"")) != bytes(kept)
        forks += index != tree.size
        tree.append(bytes(kept))
        forks += not signed.pop((workspace, tree.size), {tree.root}) <= {tree.root}
    refused = own.execute("SELECT count(*) FROM audit_tree WHERE refused <> ''").fetchone()[0]
    deadlocks = own.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()[0]
    places = {event: (workspace, index) for workspace, index, event, _ in leaves}
    # A checkpoint of more leaves than there are is a fork as well.
    return Ledger(places, len(leaves), forks + len(signed), wrong, refused, deadlocks)


@contextmanager
def sealers(url: str, folder: Path, is_at_work: Callable[[], bool]) -> Iterator[list[Child]]:
    """One that seals, and one that waits for it to die."""
    more = {"DATABASE_SEALER_URL": url, "EAIP_AUDIT_KEY_FILE": str(folder / "seal" / "signing.key"), **QUICK}
    (folder / "second").mkdir()
    with start_command(folder, "seal", environment=more) as first:
        eventually(is_at_work, within_seconds=60)
        with start_command(folder / "second", "seal", environment=more) as second:
            yield [first, second]


def p(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


@pytest.mark.reliability
@pytest.mark.django_db(transaction=True)
def test_writers_and_the_seal_keep_out_of_each_others_way(database, owner_url, redis_url, tmp_path, capsys) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(PLAIN)
    url = renamed(os.environ["DATABASE_SEALER_URL"], database)
    written, begin = Written(), time.monotonic()
    with psycopg.connect(url, autocommit=True) as own:

        def is_at_work() -> bool:
            return own.execute("SELECT looked_at IS NOT NULL FROM audit_sealing").fetchone() == (True,)

        with sealers(url, tmp_path, is_at_work) as (first, second):
            seen, begin = Seen(own), time.monotonic()
            writers = [Writer(number, begin + SECONDS, written) for number in range(WRITERS)]
            measured = subprocess.Popen(
                [sys.executable, "-c", COMMAND, str(SECONDS), str(WORKSPACES[0])],
                stdout=subprocess.PIPE,
            )
            for writer in writers:
                writer.start()

            def is_over() -> bool:
                seen.look()
                if first.is_running() and time.monotonic() > begin + SECONDS / 2:
                    first.kill()
                return not any(writer.is_alive() for writer in writers)

            eventually(is_over, within_seconds=SECONDS + LATE_SECONDS + 60, every_seconds=0.2)
            took = time.monotonic() - begin
            costs = json.loads(measured.communicate(timeout=60)[0])
            entries = len(written.committed) + len(costs["with_entry"]) + WARMING

            def is_sealed() -> bool:
                return sum(seen.look().values()) >= entries

            eventually(is_sealed, within_seconds=120, every_seconds=0.2)
            assert (first.is_running(), second.is_running()) == (False, True)
        ledger = read(own)

    skipped = written.committed.keys() - ledger.places.keys()
    sealed = [(entry, *ledger.places[entry]) for entry in written.committed if entry in ledger.places]
    lags = [seen.moment(workspace, leaf) - written.committed[entry] for entry, workspace, leaf in sealed]
    more = p(costs["with_entry"], 95) - p(costs["plain"], 95)
    is_quiet = p(costs["plain"], 95) <= MOST_MORE_MS
    with capsys.disabled():
        print_table(
            f"{WRITERS} writers for {took:.0f} s, {LATE_WRITERS} of them with transactions of {LATE_SECONDS:.0f} s;"
            " the first of two sealers killed half-way",
            ("what", "seen", "goal"),
            [
                ("entries committed", f"{len(written.committed):,} ({len(written.committed) / took:.0f}/s)", ""),
                ("of them committed late", f"{len(written.late):,}", ""),
                ("entries rolled back", f"{len(written.taken_back):,}", ""),
                ("writers that failed", len(written.errors), 0),
                ("entries skipped", len(skipped), 0),
                ("forks", ledger.forks, 0),
                ("deadlocks", ledger.deadlocks, 0),
                ("in a signed tree after its commit, p50", f"{p(lags, 50):.1f} s", ""),
                ("p99", f"{p(lags, 99):.1f} s", "60 s"),
                ("longest", f"{max(lags):.1f} s", ""),
                ("row without an entry, p50 and p95", _both(costs["plain"]), ""),
                ("row with an entry, p50 and p95", _both(costs["with_entry"]), ""),
                ("more by the entry, p95", f"{more:+.2f} ms", f"{MOST_MORE_MS} ms" if is_quiet else "too busy to say"),
            ],
        )

    assert written.errors == []
    assert not skipped
    assert not written.taken_back & ledger.places.keys()
    assert (ledger.forks, ledger.wrong, ledger.refused, ledger.deadlocks) == (0, 0, 0, 0)
    assert ledger.leaves == entries
    assert len(written.late) >= 2 * LATE_WRITERS
    assert p(lags, 99) <= (LATE_SECONDS + 10 if IS_SHORT else 60)
    assert more <= MOST_MORE_MS or not is_quiet


def _both(values: list[float]) -> str:
    return f"{p(values, 50):.2f} and {p(values, 95):.2f} ms"
