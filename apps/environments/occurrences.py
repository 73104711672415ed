"""Windows as they occur on the calendar, and what freezes leave of them. Pure: rules and moments in, spans out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.environments.windows import ALLOW, DENY, Stretch, WindowRule, changes, covers, stretches

# A rule repeats weekly, so one that holds now began within a week, unless it never ceases.
BEFORE = timedelta(days=8)


@dataclass(frozen=True)
class Occurrence:
    """One time at which a rule holds, UTC. `starts_at` is at most `BEFORE` ago; `ends_at` is None if it has no end."""

    rule: WindowRule
    starts_at: datetime
    ends_at: datetime | None

    @property
    def allows(self) -> bool:
        return self.rule.kind == ALLOW


def occurrences(windows: tuple[WindowRule, ...], since: datetime, until: datetime) -> list[Occurrence]:
    """This function will return when the rules hold in a stretch of time, in order; what began before it, whole.

    An allowing rule does not occur where a denying one does: it is cut there. Judged moment by moment as
    `windows.is_open` judges, so an hour that the clocks repeat is there twice.
    Units: `since` and `until` are aware and UTC.
    """
    denying = tuple(rule for rule in windows if rule.kind == DENY)
    found = [
        Occurrence(rule, starts_at, ends_at)
        for rule in windows
        for starts_at, ends_at in _stretches_of(rule, denying if rule.kind == ALLOW else (), since, until)
    ]
    return sorted(found, key=lambda each: (each.starts_at, each.rule.label))


def left_of(spans: Iterable[Stretch], frozen: Iterable[Stretch]) -> list[Stretch]:
    """This function will return what freezes leave of spans, in their order; nothing where all is frozen."""
    left = list(spans)
    for frost in frozen:
        left = [part for each in left for part in _without(each, frost)]
    return left


def first_start(spans: Iterable[Stretch], *, lasting: timedelta) -> datetime | None:
    """This function will return when something that lasts so long can start first; None: in none of these spans."""
    return next((start for start, end in spans if end is None or start + lasting <= end), None)


def _stretches_of(
    rule: WindowRule, denying: tuple[WindowRule, ...], since: datetime, until: datetime
) -> Iterable[Stretch]:
    first, last = since - BEFORE, until + BEFORE
    moments = (first, *changes((rule, *denying), first, last))

    def holds(at: datetime) -> bool:
        return covers(rule, at) and not any(covers(each, at) for each in denying)

    for starts_at, ends_at in stretches(holds, moments):
        if starts_at < until and (ends_at is None or ends_at > since):
            yield starts_at, ends_at


def _without(span: Stretch, frost: Stretch) -> Iterable[Stretch]:
    (starts_at, ends_at), (frozen_at, thaws_at) = span, frost
    if (ends_at is not None and frozen_at >= ends_at) or (thaws_at is not None and thaws_at <= starts_at):
        yield span
        return
    if frozen_at > starts_at:
        yield starts_at, frozen_at
    if thaws_at is not None and (ends_at is None or thaws_at < ends_at):
        yield thaws_at, ends_at
