"""Counts of values in bands: what a program can count while it runs, and a percentile can be read from."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts` has one more band than `edges`: the last one is open. A band holds what is above the edge before it,
    up to and with its own edge; edges rise.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges part {len(self.edges) + 1} bands, not {len(self.counts)}")

    @property
    def total(self) -> int:
        return sum(self.counts)

    def since(self, start: "Histogram") -> "Histogram":
        """Return what was counted after `start`; all of it where the counters began anew in between."""
        if start.edges != self.edges or any(b < a for a, b in zip(start.counts, self.counts, strict=True)):
            return self
        return Histogram(self.edges, tuple(b - a for a, b in zip(start.counts, self.counts, strict=True)))

    def quantile(self, part: float) -> float | None:
        """Return the value that `part` (0 to 1) of all values don't exceed, evenly spread inside its band.

        Shapes: None where nothing was counted; the last edge for a value in the open band.
        """
        if not self.total:
            return None
        wanted = part * self.total
        sums = list(accumulate(self.counts))
        band = next(index for index, total in enumerate(sums) if total >= wanted and self.counts[index])
        if band == len(self.edges):
            return self.edges[-1]
        below = sums[band] - self.counts[band]
        low = self.edges[band - 1] if band else 0.0
        return low + (self.edges[band] - low) * max(0.0, wanted - below) / self.counts[band]


def counted(values: Sequence[float], edges: tuple[float, ...]) -> Histogram:
    """This function will count values into bands."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[bisect_right(edges, value) - (value in edges)] += 1
    return Histogram(edges, tuple(counts))
