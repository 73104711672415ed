"""When may a deployment start? Pure: rules and a moment in, the answer out.

A rule speaks of the clock on the wall of its zone, so it is judged by that clock at each moment: an hour that occurs
twice in autumn is in the window twice, one that doesn't occur in spring is never.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

ALLOW = "ALLOW"
DENY = "DENY"
# Every rule repeats weekly; two weeks also hold whatever a change of the clocks moves.
HORIZON = timedelta(days=15)


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
    stretches = _open_stretches(windows, at)
    now = next((stretch for stretch in stretches if stretch[0] <= at), None)
    zone = next((rule.zone for rule in windows if rule.kind == ALLOW), windows[0].zone)
    if now is not None and (now[1] is None or at + lasting <= now[1]):
        return WindowState(True, None, now[1], _open_sentence(now[1], zone))
    opens = next((start for start, end in stretches if start > at and (end is None or start + lasting <= end)), None)
    return WindowState(False, opens, now[1] if now else None, _closed_sentence(opens, now, lasting, zone))


def _open_stretches(windows: tuple[WindowRule, ...], at: datetime) -> list[tuple[datetime, datetime | None]]:
    """Return the spans that are open from `at` on, in order; an end of None lies behind the horizon."""
    stretches: list[tuple[datetime, datetime | None]] = []
    opened: datetime | None = None
    for moment in (at, *_changes(windows, at)):
        if is_open(windows, moment):
            opened = opened or moment
        elif opened is not None:
            stretches.append((opened, moment))
            opened = None
    if opened is not None:
        stretches.append((opened, None))
    return stretches


def is_open(windows: tuple[WindowRule, ...], at: datetime) -> bool:
    """This function will say what the rules say of one moment, however short."""
    if any(_covers(rule, at) for rule in windows if rule.kind == DENY):
        return False
    allowing = [rule for rule in windows if rule.kind == ALLOW]
    return not allowing or any(_covers(rule, at) for rule in allowing)


def _covers(rule: WindowRule, at: datetime) -> bool:
    local = at.astimezone(ZoneInfo(rule.zone))
    wall, today = local.time(), local.isoweekday()
    yesterday = (today - 2) % 7 + 1
    if rule.overnight:
        return (wall >= rule.starts_at and today in rule.weekdays) or (
            wall < rule.ends_at and yesterday in rule.weekdays
        )
    return rule.starts_at <= wall < rule.ends_at and today in rule.weekdays


def _changes(windows: tuple[WindowRule, ...], at: datetime) -> list[datetime]:
    """Return each moment in the horizon at which a rule can begin or cease to hold."""
    moments = {moment for rule in windows for moment in (*_edges(rule, at), *_clock_changes(rule.zone, at))}
    return sorted(moment for moment in moments if at < moment <= at + HORIZON)


def _edges(rule: WindowRule, at: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(rule.zone)
    first = at.astimezone(zone).date()
    for offset in range(HORIZON.days + 2):
        day = first + timedelta(days=offset)
        for wall in (time(0), rule.starts_at, rule.ends_at):
            for fold in (0, 1):
                yield datetime.combine(day, wall, tzinfo=zone).replace(fold=fold).astimezone(UTC)


def _clock_changes(name: str, at: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(name)

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(zone).utcoffset()

    for day in range(HORIZON.days + 1):
        low, high = at + timedelta(days=day), at + timedelta(days=day + 1)
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


def _closed_sentence(
    opens: datetime | None, now: tuple[datetime, datetime | None] | None, lasting: timedelta, zone: str
) -> str:
    again = f"It opens on {_told(opens, zone)}." if opens else "It does not open within two weeks."
    if now is not None and now[1] is not None:
        minutes = -(-int(lasting.total_seconds()) // 60)
        return f"The window closes on {_told(now[1], zone)}, too soon for a deployment of {minutes} min. {again}"
    return f"The window is closed. {again}"


def _told(moment: datetime, zone: str) -> str:
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%A} {local.day} {local:%B} at {local:%H:%M} ({zone})"
