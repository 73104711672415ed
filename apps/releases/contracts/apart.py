"""Compares in a process of its own: what nobody vouches for costs time and memory up to a limit."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.releases.contracts.changes import Change, Effect

SECONDS = 90.0
CPU_SECONDS = 60
MEMORY = 2 << 30
# Changes beyond these are counted only; the worst come first.
KEPT = 10_000
NAMED = 50
TEXT = 300
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Found:
    """`changes` are the worst, at most KEPT, of texts cut to TEXT; `counts` has all. `removed` are at most NAMED
    operations with the day until which each was promised to stay ("" for those never announced to end), the last day
    first. `is_whole` is False where the comparison was given up.
    """

    changes: tuple[Change, ...]
    counts: Mapping[Effect, int]
    removed: tuple[tuple[str, str], ...] = ()
    is_whole: bool = True

    def count(self, effect: Effect) -> int:
        return self.counts.get(effect, 0)

    def operations(self, effect: Effect) -> list[str]:
        """Return the first operations with a change of this effect."""
        return list(dict.fromkeys(change.operation for change in self.changes if change.effect == effect))[:NAMED]


def compare_apart(old: Path, new: Path, *, seconds: float = SECONDS) -> Found:
    """This function will compare two files. What takes too long, too much, or ends badly is UNDECIDED as a whole."""
    return _apart([str(old), str(new)], b"", seconds)


def compare_schemas_apart(
    lower: Mapping[str, str], new: str, *, mode: str, is_closed: bool, seconds: float = SECONDS
) -> Found:
    """This function will compare an event schema with lower ones, all of them JSON texts; else as `compare_apart`."""
    question = {"lower": dict(lower), "new": new, "mode": mode, "is_closed": is_closed}
    return _apart([], json.dumps(question).encode(), seconds)


def _apart(arguments: Sequence[str], question: bytes, seconds: float) -> Found:
    command = [sys.executable, "-m", "apps.releases.contracts", *arguments]
    pipe = subprocess.PIPE
    # A session of its own, so that the process which judges schemas ends with it.
    with subprocess.Popen(
        command, cwd=_ROOT, env={}, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(question, timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return _undecided("too-slow", f"The comparison took longer than {seconds:g} s and was given up.")
    if process.returncode != 0:
        return _undecided("not-compared", "The comparison needs more time or memory than it may take.")
    found = json.loads(output)
    changes = tuple(Change(**{**row, "effect": Effect(row["effect"])}) for row in found["changes"])
    counts = {Effect(effect): count for effect, count in found["counts"].items()}
    return Found(changes, counts, tuple(map(tuple, found["removed"])))


def _undecided(rule: str, sentence: str) -> Found:
    change = Change("every operation", "", rule, Effect.UNDECIDED, sentence)
    return Found((change,), {Effect.UNDECIDED: 1}, is_whole=False)
