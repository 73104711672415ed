"""How long things took: counted in memory, and written into the database every few seconds (apps/api/timings.py)."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """A histogram: its labels, and the upper edges of its bands in seconds. The last band, above all, is open."""

    means: str
    labels: tuple[str, ...]
    edges: tuple[float, ...]


LONG = (0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0)
# Other edges for a name need a migration that empties its rows: what was counted in the old ones can't be parted anew.
FAMILIES = {
    "http_request": Family(
        "From the arrival of a request to the beginning of its answer",
        ("route", "method", "status"),
        (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    ),
    "task": Family("Work that a worker was told of, or looked for by itself", ("task", "outcome"), LONG),
    "deployment_step": Family("Steps of deployments, by their verdict", ("step", "verdict"), LONG),
}


@dataclass
class Tally:
    counts: list[int]
    seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds


Key = tuple[str, tuple[str, ...]]


@dataclass
class Timings:
    """What was counted since it was taken last, by family and labels."""

    _tallies: dict[Key, Tally] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, family: str, *labels: str, seconds: float) -> None:
        """This function will count one piece of work. Shapes: as many labels as the family has, in its order."""
        edges = FAMILIES[family].edges
        with self._lock:
            tally = self._tallies.setdefault((family, labels), Tally([0] * (len(edges) + 1)))
            tally.counts[bisect_left(edges, seconds)] += 1
            tally.seconds += seconds

    @contextmanager
    def timed(self, family: str, *labels: str) -> Iterator[None]:
        """Count what is done inside, with how it ended as the last label: `done`, or `failed` where it raises."""
        began, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "done"
        finally:
            self.count(family, *labels, outcome, seconds=time.monotonic() - began)

    def take(self) -> dict[Key, Tally]:
        """This function will return all that was counted, and count from nothing again."""
        with self._lock:
            taken, self._tallies = self._tallies, {}
        return taken

    def put_back(self, taken: Mapping[Key, Tally]) -> None:
        """This function will keep for the next time what could not be written."""
        with self._lock:
            for key, tally in taken.items():
                known = self._tallies.setdefault(key, tally)
                if known is not tally:
                    known.add(tally)


timings = Timings()
