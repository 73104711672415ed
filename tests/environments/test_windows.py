from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.environments.windows import WindowRule, is_open, window_state

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = frozenset(range(1, 8))
QUARTER = timedelta(minutes=15)


def rule(kind="ALLOW", days=EVERY_DAY, starts="00:00", ends="00:00", zone="UTC"):
    return WindowRule(kind, frozenset(days), time.fromisoformat(starts), time.fromisoformat(ends), zone, "a window")


PREFERRED = rule(days={2, 3, 4}, starts="10:00", ends="15:00", zone="America/Los_Angeles")


def la(text):
    return datetime.fromisoformat(text).replace(tzinfo=LOS_ANGELES)


def test_without_a_window_every_moment_is_open():
    state = window_state((), la("2026-11-21T03:00"), lasting=QUARTER)

    assert state.is_open
    assert state.closes_at is None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-17T10:00", True),  # Tuesday, inclusive start
        ("2026-11-17T09:59:59", False),
        ("2026-11-19T14:45", True),  # just as long as it takes
        ("2026-11-19T14:46", False),
        ("2026-11-19T15:00", False),  # exclusive end
        ("2026-11-20T12:00", False),  # Friday
        ("2026-11-16T12:00", False),  # Monday
    ],
)
def test_the_preferred_window_of_production(moment, expected):
    assert window_state((PREFERRED,), la(moment), lasting=QUARTER).is_open is expected


def test_a_closed_window_says_when_it_opens():
    state = window_state((PREFERRED,), la("2026-11-20T12:00"), lasting=QUARTER)

    assert state.next_open == la("2026-11-24T10:00")
    assert state.sentence == ("The window is closed. It opens on Tuesday 24 November at 10:00 (America/Los_Angeles).")


def test_a_window_that_closes_too_soon_says_so():
    state = window_state((PREFERRED,), la("2026-11-19T14:50"), lasting=QUARTER)

    assert not state.is_open
    assert state.closes_at == la("2026-11-19T15:00")
    assert state.next_open == la("2026-11-24T10:00")
    assert "too soon for a deployment of 15 min" in state.sentence


def test_an_open_window_says_until_when():
    state = window_state((PREFERRED,), la("2026-11-18T11:00"), lasting=QUARTER)

    assert (state.closes_at, state.next_open) == (la("2026-11-18T15:00"), None)


def test_a_window_over_midnight_belongs_to_the_day_it_starts_on():
    friday_night = rule(days={5}, starts="22:00", ends="02:00", zone="Europe/Berlin")

    def is_open_at(text):
        moment = datetime.fromisoformat(text).replace(tzinfo=BERLIN)
        return window_state((friday_night,), moment, lasting=timedelta(0)).is_open

    assert is_open_at("2026-11-20T23:59")
    assert is_open_at("2026-11-21T01:59:59")
    assert not is_open_at("2026-11-21T02:00")
    assert not is_open_at("2026-11-20T01:00")
    assert not is_open_at("2026-11-21T22:30")


def test_a_deployment_over_midnight_fits_a_window_over_midnight():
    night = rule(starts="22:00", ends="02:00")

    state = window_state((night,), datetime(2026, 11, 20, 23, 50, tzinfo=UTC), lasting=timedelta(hours=2))

    assert state.is_open
    assert state.closes_at == datetime(2026, 11, 21, 2, tzinfo=UTC)


def test_a_window_of_all_hours_never_closes():
    state = window_state((rule(zone="America/Los_Angeles"),), la("2026-10-31T12:00"), lasting=timedelta(days=3))

    assert state.is_open
    assert state.closes_at is None


def test_denying_beats_allowing():
    state = window_state(
        (rule(), rule("DENY", days={5}, starts="12:00", ends="00:00")),
        datetime(2026, 11, 20, 11, 50, tzinfo=UTC),
        lasting=QUARTER,
    )

    assert not state.is_open
    assert state.next_open == datetime(2026, 11, 21, tzinfo=UTC)


def test_a_deny_rule_alone_leaves_the_rest_open():
    weekend = (rule("DENY", days={6, 7}),)

    assert window_state(weekend, datetime(2026, 11, 20, 23, tzinfo=UTC), lasting=QUARTER).is_open
    state = window_state(weekend, datetime(2026, 11, 21, 0, tzinfo=UTC), lasting=QUARTER)
    assert state.next_open == datetime(2026, 11, 23, tzinfo=UTC)


def test_what_is_denied_for_ever_never_opens():
    state = window_state((rule("DENY"),), datetime(2026, 11, 20, tzinfo=UTC), lasting=QUARTER)

    assert (state.is_open, state.next_open) == (False, None)
    assert "does not open within two weeks" in state.sentence


def test_the_start_follows_the_wall_clock_over_a_change_of_the_clocks():
    before = window_state((PREFERRED,), la("2026-10-30T12:00"), lasting=QUARTER)
    after = window_state((PREFERRED,), la("2026-11-06T12:00"), lasting=QUARTER)

    assert before.next_open == datetime(2026, 11, 3, 18, tzinfo=UTC)  # standard time again since 1 November
    assert after.next_open == datetime(2026, 11, 10, 18, tzinfo=UTC)
    assert window_state((PREFERRED,), la("2026-10-23T12:00"), lasting=QUARTER).next_open == datetime(
        2026, 10, 27, 17, tzinfo=UTC
    )


def test_an_hour_that_does_not_occur_is_no_window():
    in_the_gap = (rule(days={7}, starts="02:15", ends="02:45", zone="Europe/Berlin"),)

    state = window_state(in_the_gap, datetime(2026, 3, 28, 12, tzinfo=UTC), lasting=timedelta(0))

    assert state.next_open == datetime(2026, 4, 5, 0, 15, tzinfo=UTC)  # a week after the gap of 29 March


def test_a_window_that_starts_in_the_gap_opens_when_the_clock_has_jumped():
    windows = (rule(days={7}, starts="02:30", ends="05:00", zone="Europe/Berlin"),)

    state = window_state(windows, datetime(2026, 3, 28, 12, tzinfo=UTC), lasting=QUARTER)

    assert state.next_open == datetime(2026, 3, 29, 1, tzinfo=UTC)  # 03:00 summer time


def test_an_hour_that_occurs_twice_is_open_twice():
    twice = (rule(days={7}, starts="02:10", ends="02:40", zone="Europe/Berlin"),)
    first, second = datetime(2026, 10, 25, 0, 20, tzinfo=UTC), datetime(2026, 10, 25, 1, 20, tzinfo=UTC)

    assert window_state(twice, first, lasting=timedelta(minutes=20)).is_open
    assert not window_state(twice, first, lasting=timedelta(minutes=21)).is_open
    between = window_state(twice, first + timedelta(minutes=30), lasting=timedelta(0))
    assert (between.is_open, between.next_open) == (False, datetime(2026, 10, 25, 1, 10, tzinfo=UTC))
    assert window_state(twice, second, lasting=timedelta(0)).is_open


times = st.times().map(lambda moment: moment.replace(second=0, microsecond=0))
rules = st.builds(
    WindowRule,
    kind=st.sampled_from(["ALLOW", "DENY"]),
    weekdays=st.frozensets(st.integers(1, 7), min_size=1),
    starts_at=times,
    ends_at=times,
    zone=st.sampled_from(["UTC", "America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


@settings(deadline=None, max_examples=40)
@given(st.lists(rules, min_size=1, max_size=4).map(tuple), moments)
def test_what_is_said_of_the_future_holds_when_it_comes(windows, at):
    state = window_state(windows, at, lasting=QUARTER)

    minutes = (at + timedelta(minutes=minute) for minute in range(1, 60 * 24, 23))
    if state.is_open:
        assert is_open(windows, at)
        assert all(is_open(windows, moment) for moment in (at, at + QUARTER - timedelta(microseconds=1)))
        assert all(is_open(windows, m) for m in minutes if state.closes_at is None or m < state.closes_at)
        assert state.closes_at is None or not is_open(windows, state.closes_at)
    elif state.next_open is not None:
        assert window_state(windows, state.next_open, lasting=QUARTER).is_open
        assert not any(window_state(windows, m, lasting=QUARTER).is_open for m in minutes if m < state.next_open)
