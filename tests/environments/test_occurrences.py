"""When windows occur: by the clock on the wall of their zone, over changed clocks, midnights and the date line."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.environments.occurrences import first_start, left_of, occurrences
from apps.environments.windows import WindowRule, is_open

EVERY_DAY = frozenset(range(1, 8))


def rule(kind="ALLOW", days=EVERY_DAY, starts="00:00", ends="00:00", zone="UTC"):
    return WindowRule(kind, frozenset(days), time.fromisoformat(starts), time.fromisoformat(ends), zone, "a window")


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def said(rules, since, until):
    return [
        f"{each.starts_at:%m-%d %H:%M} {each.ends_at:%m-%d %H:%M}" if each.ends_at else f"{each.starts_at:%m-%d %H:%M}"
        for each in occurrences(rules, utc(since), utc(until))
    ]


@pytest.mark.parametrize(
    ("one", "since", "until", "expected"),
    [
        pytest.param(
            rule(days={2, 3, 4}, starts="10:00", ends="15:00", zone="America/Los_Angeles"), "2026-10-28", "2026-11-05",
            [
                "10-28 17:00 10-28 22:00", "10-29 17:00 10-29 22:00",
                "11-03 18:00 11-03 23:00", "11-04 18:00 11-04 23:00",
            ],
            id="the same wall time before and after the clocks go back",
        ),
        pytest.param(
            rule(days={7}, starts="02:00", ends="04:00", zone="Europe/Berlin"), "2026-03-29", "2026-03-30",
            ["03-29 01:00 03-29 02:00"],
            id="an hour that does not occur in spring is in no window",
        ),
        pytest.param(
            rule(days={7}, starts="02:15", ends="02:45", zone="Europe/Berlin"), "2026-03-28", "2026-03-30", [],
            id="a window that lies in that hour does not occur",
        ),
        pytest.param(
            rule(days={7}, starts="02:00", ends="03:00", zone="Europe/Berlin"), "2026-10-24", "2026-10-26",
            ["10-25 00:00 10-25 02:00"],
            id="an hour that occurs twice in autumn is in it twice",
        ),
        pytest.param(
            rule(days={7}, starts="02:15", ends="02:45", zone="Europe/Berlin"), "2026-10-24", "2026-10-26",
            ["10-25 00:15 10-25 00:45", "10-25 01:15 10-25 01:45"],
            id="a half of it is there two times",
        ),
        pytest.param(
            rule(days={5}, starts="22:00", ends="02:00", zone="Europe/Berlin"), "2026-11-21", "2026-11-22",
            ["11-20 21:00 11-21 01:00"],
            id="what began yesterday and still holds is there whole",
        ),
        pytest.param(
            rule(days={1}, starts="09:00", ends="17:00", zone="Pacific/Kiritimati"), "2026-11-20", "2026-11-27",
            ["11-22 19:00 11-23 03:00"],
            id="Monday begins on the Sunday of UTC where the day begins first",
        ),
        pytest.param(
            rule(days={1}, starts="20:00", ends="06:00", zone="Pacific/Apia"), "2026-11-20", "2026-11-27",
            ["11-23 07:00 11-23 17:00"],
            id="over midnight in Apia",
        ),
        pytest.param(
            rule(days={2}, starts="09:00", ends="17:00", zone="Pacific/Pago_Pago"), "2026-11-24", "2026-11-26",
            ["11-24 20:00 11-25 04:00"],
            id="Tuesday ends on the Wednesday of UTC where the day ends last",
        ),
        pytest.param(rule(), "2026-11-20", "2026-11-27", ["11-12 00:00"], id="all the time has no end"),
        pytest.param(
            rule(days={5}, starts="09:00", ends="17:00"), "2026-11-20T17:00", "2026-11-27T09:00", [],
            id="neither what has just ended nor what begins at the end",
        ),
    ],
)  # fmt: skip
def test_when_a_window_occurs(one, since, until, expected):
    assert said((one,), since, until) == expected


def test_what_is_denied_is_cut_out_of_what_is_allowed():
    rules = (rule(days={3}, starts="10:00", ends="15:00"), rule("DENY", {3}, "12:00", "13:00"))

    assert said(rules, "2026-11-18", "2026-11-19") == [
        "11-18 10:00 11-18 12:00", "11-18 12:00 11-18 13:00", "11-18 13:00 11-18 15:00",
    ]  # fmt: skip


ZONES = st.sampled_from(["UTC", "America/Los_Angeles", "Europe/Berlin", "Pacific/Apia", "Pacific/Kiritimati"])
RULES = st.builds(
    WindowRule, st.sampled_from(["ALLOW", "ALLOW", "DENY"]), st.frozensets(st.integers(1, 7), min_size=1),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)), ZONES,
)  # fmt: skip


@given(st.lists(RULES, min_size=1, max_size=3), st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30)))
def test_a_moment_is_open_exactly_when_an_allowing_window_occurs(rules, moment):
    at, given_rules = moment.replace(tzinfo=UTC, microsecond=0), (*rules, rule(days={1}, starts="01:00", ends="02:00"))

    found = occurrences(given_rules, at, at + timedelta(seconds=1))

    assert any(each.allows and each.starts_at <= at for each in found) == is_open(given_rules, at)


@pytest.mark.parametrize(
    ("frozen", "left"),
    [
        ([], ["10:00 15:00"]),
        ([("09:00", "16:00")], []),
        ([("10:00", "15:00")], []),
        ([("09:00", None)], []),
        ([("09:00", "12:00"), ("12:00", "15:00")], []),
        ([("09:00", "10:00")], ["10:00 15:00"]),
        ([("15:00", None)], ["10:00 15:00"]),
        ([("11:00", "12:00")], ["10:00 11:00", "12:00 15:00"]),
        ([("09:00", "12:00")], ["12:00 15:00"]),
        ([("14:00", None)], ["10:00 14:00"]),
    ],
)
def test_what_freezes_leave_of_a_window(frozen, left):
    def at(text):
        return utc(f"2026-11-18T{text}") if text else None

    found = left_of([(at("10:00"), at("15:00"))], [(at(begins), at(ends)) for begins, ends in frozen])

    assert [f"{begins:%H:%M} {ends:%H:%M}" for begins, ends in found] == left


def test_what_freezes_leave_of_a_window_without_an_end():
    window = [(utc("2026-11-18"), None)]

    assert left_of(window, [(utc("2026-11-17"), utc("2026-11-19"))]) == [(utc("2026-11-19"), None)]
    assert left_of(window, [(utc("2026-11-20"), None)]) == [(utc("2026-11-18"), utc("2026-11-20"))]


def test_something_starts_in_the_first_span_that_is_long_enough():
    short, long = utc("2026-11-18T10:00"), utc("2026-11-19T10:00")
    spans = [(short, short + timedelta(minutes=20)), (long, long + timedelta(hours=5))]

    assert first_start(spans, lasting=timedelta(minutes=20)) == short
    assert first_start(spans, lasting=timedelta(minutes=21)) == long
    assert first_start(spans, lasting=timedelta(hours=6)) is None
    assert first_start([(long, None)], lasting=timedelta(hours=6)) == long
