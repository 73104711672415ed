"""A day of deployment windows as numbers for an SVG, by the clock of the window's own zone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from apps.environments.windows import WindowRule

WIDTH = 240
TO = "\N{EN DASH}"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Span:
    x: float
    width: float
    words: str


@dataclass(frozen=True)
class Band:
    """Today from midnight to midnight in the windows' zone: what is open, and where now stands."""

    spans: tuple[Span, ...]
    now_x: float
    label: str
    hours: str


def band_of(windows: Sequence[WindowRule], *, name: str, now: datetime) -> Band | None:
    """Return today's band of the allowing windows; None when there is none."""
    allowing = [rule for rule in windows if rule.kind == "ALLOW"]
    if not allowing:
        return None
    zone = allowing[0].zone
    local = now.astimezone(ZoneInfo(zone))
    today = [rule for rule in allowing if local.isoweekday() in rule.weekdays]
    spans = tuple(Span(_x(rule.starts_at), _width(rule), _words(rule)) for rule in today)
    hours = "; ".join(dict.fromkeys(hours_of(rule) for rule in allowing))
    label = f"{name} window today: {hours}; now {local:%H:%M} there"
    return Band(spans, _x(local.time()), label, hours)


def _words(rule: WindowRule) -> str:
    """The span's hours under it; none beside the marks of midnight, where they would cover each other."""
    return f"{rule.starts_at:%H}{TO}{rule.ends_at:%H}" if 20 < _x(rule.starts_at) < 190 else ""


def hours_of(rule: WindowRule) -> str:
    """Return a rule in words, such as Tue to Thu 10:00 to 15:00 America/Los_Angeles, with dashes."""
    return f"{_days(sorted(rule.weekdays))} {rule.starts_at:%H:%M}{TO}{rule.ends_at:%H:%M} {rule.zone}"


def _days(numbers: Sequence[int]) -> str:
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{_DAYS[numbers[0] - 1]}{TO}{_DAYS[numbers[-1] - 1]}"
    return ", ".join(_DAYS[number - 1] for number in numbers)


def _x(moment: time) -> float:
    return round((moment.hour * 60 + moment.minute) / timedelta(days=1).total_seconds() * 60 * WIDTH, 1)


def _width(rule: WindowRule) -> float:
    end = WIDTH if rule.ends_at <= rule.starts_at else _x(rule.ends_at)
    return round(end - _x(rule.starts_at), 1)
