"""The calendar as iCalendar (RFC 5545): every occurrence with its own moments, so that no reader has to know zones."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from icalendar import Calendar as Feed
from icalendar import Event

from apps.compliance.models import Review
from apps.dashboards.calendar import AHEAD, Calendar, Entry
from apps.environments.actions.freezes import scope_in_words
from apps.environments.models import Freeze


def written(calendar: Calendar, *, now: datetime, reviews: Iterable[Review] = ()) -> bytes:
    """This function will write windows, freezes and the days when reviews are due as events; what waits for a window is
    not in it.
    """
    feed = Feed()
    feed.add("prodid", "-//EAIP Operations//Calendar//EN")
    feed.add("version", "2.0")
    feed.add("method", "PUBLISH")
    feed.add("x-wr-calname", "Deployment windows and freezes")
    for event in (*_windows(calendar), *_freezes(calendar.freezes, now), *map(_due, reviews)):
        event.add("dtstamp", now)
        event.add("transp", "TRANSPARENT")
        feed.add_component(event)
    return feed.to_ical()


def _windows(calendar: Calendar) -> Iterator[Event]:
    for entry in calendar.entries:
        occurrence, rule = entry.occurrence, entry.occurrence.rule
        if occurrence.ends_at is None:  # at all hours is no date
            continue
        same = f"{rule.kind} {rule.label} {rule.zone} {rule.ends_at} {occurrence.starts_at.isoformat()}"
        event = _event(uuid5(entry.place.id, same), _title(entry))
        event.add("dtstart", occurrence.starts_at)
        event.add("dtend", occurrence.ends_at)
        said = f"{rule.label}: {entry.theirs or entry.yours}"
        event.add("description", f"{said}. Frozen: {entry.reasons}." if entry.freezes else f"{said}.")
        event.add("location", str(entry.place.environment.workspace))
        yield event


def _freezes(freezes: Sequence[Freeze], now: datetime) -> Iterator[Event]:
    for freeze in freezes:
        event = _event(freeze.pk, f"Freeze: {scope_in_words(freeze)}")
        event.add("dtstart", freeze.frozen_at)
        event.add("dtend", freeze.ends_at or now + AHEAD)
        end = "" if freeze.ends_at else " It has no end: somebody must lift it."
        event.add("description", f"{freeze.reason} ({freeze.frozen_by}).{end}")
        yield event


def _due(review: Review) -> Event:
    event = _event(uuid5(review.pk, str(review.next_due_date)), f"Due: {review.title}")
    event.add("dtstart", review.next_due_date)
    event.add("description", review.asks)
    event.add("location", str(review.workspace))
    return event


def _event(uid: UUID, title: str) -> Event:
    event = Event()
    event.add("uid", f"{uid}@eaip-operations")
    event.add("summary", title)
    return event


def _title(entry: Entry) -> str:
    if not entry.occurrence.allows:
        return f"{entry.place.name}: no deployments"
    frozen = f" ({entry.word.lower()})" if entry.freezes else ""
    return f"{entry.place.name}: deployment window{frozen}"
