"""When may a deployment start? Pure: rules and a moment in, the answer out.

A rule speaks of the clock on the wall of its zone, so it is judged by that clock at each moment: an hour that occurs
twice in autumn is in the window twice, one that doesn't occur in spring is never.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

ALLOW = "ALLOW"
DENY = "DENY"
# Every rule repeats weekly; two weeks also hold whatever a change of the clocks moves.
HORIZON = timedelta(days=15)
# From when to when; an end of None lies behind what was looked at.
Stretch = tuple[datetime, datetime | None]


@dataclass(frozen=True)
class WindowRule:
    """A recurring span: `weekdays` are ISO numbers of the day on which it starts, `ends_at` is exclusive."""

    kind: str
    weekdays: frozenset[int]
    starts_at: time
    ends_at: time
    zone: str
    label: str = ""

    @property
    def overnight(self) -> bool:
        """Whether it ends on the day after; one that ends when it starts lasts a whole day."""
        return self.ends_at <= self.starts_at


@dataclass(frozen=True)
class WindowState:
    """`next_open` is None while it is open, or when it opens in no two weeks; `closes_at` is None if it never does."""

    is_open: bool
    next_open: datetime | None
    closes_at: datetime | None
    sentence: str


def window_state(windows: tuple[WindowRule, ...], at: datetime, *, lasting: timedelta) -> WindowState:
    """This function will say whether a deployment that takes `lasting` may start at a moment.

    Denying beats allowing; without an allowing rule everything that is not denied is allowed. The moment is open
    only if the window lasts as long as the deployment is expected to.
    Units: `at` and all results are aware; results are UTC.
    """
    at = at.astimezone(UTC)
    if not windows:
        return WindowState(True, None, None, "No window is set: deployments may start at any time.")
    found = open_stretches(windows, at, at + HORIZON)
    now = next((stretch for stretch in found if stretch[0] <= at), None)
    zone = next((rule.zone for rule in windows if rule.kind == ALLOW), windows[0].zone)
    if now is not None and (now[1] is None or at + lasting <= now[1]):
        return WindowState(True, None, now[1], _open_sentence(now[1], zone))
    opens = next((start for start, end in found if start > at and (end is None or start + lasting <= end)), None)
    return WindowState(False, opens, now[1] if now else None, _closed_sentence(opens, now, lasting, zone))


def open_stretches(windows: tuple[WindowRule, ...], since: datetime, until: datetime) -> list[Stretch]:
    """This function will return the spans that all rules together leave open, from `since` on, in order."""
    return stretches(lambda moment: is_open(windows, moment), (since, *changes(windows, since, until)))


def stretches(holds: Callable[[datetime], bool], moments: Iterable[datetime]) -> list[Stretch]:
    """This function will return the spans in which something holds that changes at none but these moments, in order."""
    found: list[Stretch] = []
    begun: datetime | None = None
    for moment in moments:
        if holds(moment):
            begun = begun or moment
        elif begun is not None:
            found.append((begun, moment))
            begun = None
    if begun is not None:
        found.append((begun, None))
    return found


def is_open(windows: tuple[WindowRule, ...], at: datetime) -> bool:
    """This function will say what the rules say of one moment, however short."""
    if any(covers(rule, at) for rule in windows if rule.kind == DENY):
        return False
    allowing = [rule for rule in windows if rule.kind == ALLOW]
    return not allowing or any(covers(rule, at) for rule in allowing)


def covers(rule: WindowRule, at: datetime) -> bool:
    """This function will say whether a moment is in the span of a rule, whatever other rules say."""
    local = at.astimezone(ZoneInfo(rule.zone))
    wall, today = local.time(), local.isoweekday()
    yesterday = (today - 2) % 7 + 1
    if rule.overnight:
        return (wall >= rule.starts_at and today in rule.weekdays) or (
            wall < rule.ends_at and yesterday in rule.weekdays
        )
    return rule.starts_at <= wall < rule.ends_at and today in rule.weekdays


def changes(windows: tuple[WindowRule, ...], since: datetime, until: datetime) -> list[datetime]:
    """This function will return each moment after `since` at which a rule can begin or cease to hold, up to `until`."""
    moments = {
        moment for rule in windows for moment in (*_edges(rule, since, until), *_clock_changes(rule.zone, since, until))
    }
    return sorted(moment for moment in moments if since < moment <= until)


def _edges(rule: WindowRule, since: datetime, until: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(rule.zone)
    first = since.astimezone(zone).date()
    for offset in range((until - since).days + 2):
        day = first + timedelta(days=offset)
        for wall in (time(0), rule.starts_at, rule.ends_at):
            for fold in (0, 1):
                yield datetime.combine(day, wall, tzinfo=zone).replace(fold=fold).astimezone(UTC)


def _clock_changes(name: str, since: datetime, until: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(name)

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(zone).utcoffset()

    for day in range((until - since).days + 1):
        low, high = since + timedelta(days=day), since + timedelta(days=day + 1)
        if offset(low) == offset(high):
            continue
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) / 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        yield high.replace(microsecond=0)


def _open_sentence(closes_at: datetime | None, zone: str) -> str:
    if closes_at is None:
        return "The window is open at all hours."
    return f"The window is open until {_told(closes_at, zone)}."


def _closed_sentence(opens: datetime | None, now: Stretch | None, lasting: timedelta, zone: str) -> str:
    again = f"It opens on {_told(opens, zone)}." if opens else "It does not open within two weeks."
    if now is not None and now[1] is not None:
        minutes = -(-int(lasting.total_seconds()) // 60)
        return f"The window closes on {_told(now[1], zone)}, too soon for a deployment of {minutes} min. {again}"
    return f"The window is closed. {again}"


def _told(moment: datetime, zone: str) -> str:
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%A} {local.day} {local:%B} at {local:%H:%M} ({zone})"
