"""Charts as numbers for an SVG: the templates draw them, so they need no script, print, and follow the theme."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 240, 92
HEADROOM = 1.15


@dataclass(frozen=True)
class Line:
    """Points of a polyline in a box of WIDTH x HEIGHT; a gap in the values parts it in several.

    `limit_y` is where the limit is drawn and `mark_x` where something began; None when there is neither.
    """

    runs: tuple[str, ...]
    areas: tuple[str, ...]
    grid: tuple[float, ...]
    limit_y: float | None
    mark_x: float | None


def line(
    points: Sequence[tuple[float, float | None]], *, limit: float | None = None, mark: float | None = None
) -> Line:
    """This function will scale points of (x, value) into the box. Shapes: x rises; None as value is a gap."""
    values = [value for _, value in points if value is not None]
    top = max([*values, limit or 0, 1e-9]) * HEADROOM
    left, right = (points[0][0], points[-1][0]) if points else (0.0, 1.0)
    span = (right - left) or 1.0

    def x_of(x: float) -> float:
        return round((x - left) / span * WIDTH, 1)

    def y_of(value: float) -> float:
        return round(HEIGHT - value / top * HEIGHT, 1)

    runs: list[list[tuple[float, float]]] = [[]]
    for x, value in points:
        if value is not None:
            runs[-1].append((x_of(x), y_of(value)))
        elif runs[-1]:
            runs.append([])
    drawn = [run for run in runs if run]
    return Line(
        runs=tuple(_points(run) for run in drawn),
        areas=tuple(_points([(run[0][0], HEIGHT), *run, (run[-1][0], HEIGHT)]) for run in drawn),
        grid=tuple(round(HEIGHT * part, 1) for part in (0.02, 0.34, 0.67, 0.995)),
        limit_y=y_of(limit) if limit is not None else None,
        mark_x=x_of(mark) if mark is not None and left <= mark <= right else None,
    )


def _points(run: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in run)
