from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from apps.core import durations
from apps.core.verdict import refused

HOSTILE = "<script>alert('x')</script>\"'&"


def render(source, **context):
    request = RequestFactory().get("/things/", context.pop("query", {}))
    return Template(source).render(Context({"request": request, **context}))


@pytest.mark.parametrize(
    ("seconds", "words", "short"),
    [
        (0, "0 s", "0 s"),
        (0.4, "0.4 s", "0 s"),
        (9.96, "10 s", "10 s"),
        (59.6, "1 m", "1 m"),
        (110, "1 m 50 s", "1 m"),
        (3600, "1 h", "1 h"),
        (13_320, "3 h 42 m", "3 h"),
        (122_400, "1 d 10 h", "1 d"),
        (86_700, "1 d", "1 d"),
        (-110, "-1 m 50 s", "-1 m"),
    ],
)
def test_durations_are_named_by_their_largest_units(seconds, words, short):
    assert durations.in_words(seconds) == words
    assert durations.in_words(timedelta(seconds=seconds), parts=1) == short


def test_a_time_is_shown_in_the_viewers_zone_with_its_label_and_utc_in_the_title():
    moment = datetime(2024, 7, 1, 22, 30, 5, tzinfo=UTC)
    with timezone.override("Pacific/Auckland"):
        html = render("{% time moment %}", moment=moment)

    assert "Tue 2 Jul 2024 10:30 NZST" in html
    assert 'datetime="2024-07-01T22:30:05Z"' in html
    assert 'title="2024-07-01 22:30:05 UTC"' in html
    assert 'data-zone="Pacific/Auckland"' in html


@pytest.mark.parametrize(
    ("zone", "moment", "words"),
    [
        ("Europe/Berlin", datetime(2024, 3, 31, 0, 59, tzinfo=UTC), "01:59 CET"),
        ("Europe/Berlin", datetime(2024, 3, 31, 1, 1, tzinfo=UTC), "03:01 CEST"),
        ("America/Los_Angeles", datetime(2024, 11, 3, 8, 30, tzinfo=UTC), "01:30 PDT"),
        ("America/Los_Angeles", datetime(2024, 11, 3, 9, 30, tzinfo=UTC), "01:30 PST"),
    ],
)
def test_the_label_is_the_one_of_that_date_not_of_today(zone, moment, words):
    with timezone.override(zone):
        assert words in render('{% time moment form="clock" %}', moment=moment)


def test_age_says_ago_and_in():
    now = timezone.now()

    assert "26 m ago" in render("{% age moment %}", moment=now - timedelta(minutes=26, seconds=5))
    assert "in 3 h" in render("{% age moment %}", moment=now + timedelta(hours=3, seconds=5))


@pytest.mark.parametrize(
    "tag",
    [
        '{% status "ok" text %}',
        '{% pill "bad" text %}',
        '{% mark "run" label=text %}',
        "{% icon text label=text %}",
        "{% person text avatar=True %}",
        "{% version text %}",
        "{% digest text %}",
        "{% facts rows %}",
        "{% progress 1 2 text %}",
        "{% button text verdict=verdict name=text value=text %}",
        "{% button text name=text value=text %}",
        "{% empty text text command=text url=text link=text %}",
        "{% url_with q=text %}",
    ],
)
def test_hostile_text_stays_text(tag):
    html = render(tag, text=HOSTILE, rows=[(HOSTILE, HOSTILE)], verdict=refused("x", HOSTILE))

    assert "<script" not in html
    assert "\"'&" not in html


def test_an_unknown_tone_is_a_defect_not_a_style():
    with pytest.raises(KeyError):
        render('{% status "green" "Healthy" %}')


def test_a_refused_button_is_disabled_and_says_why():
    html = render(
        "{% button 'Approve' verdict=verdict name='choice' value='APPROVE' %}", verdict=refused("own", "You asked.")
    )

    assert "disabled" in html
    assert "You asked." in html
    assert 'name="choice"' not in html


def test_an_allowed_button_sends_its_value():
    html = render("{% button 'Approve' name='choice' value='APPROVE' %}")

    assert 'name="choice" value="APPROVE"' in html
    assert "disabled" not in html


def test_url_with_keeps_the_rest_of_the_query():
    query = {"q": "a b", "service": ["x", "y"], "before": "z"}

    assert render("{% url_with before=None page=2 %}", query=query) == "?page=2&amp;q=a+b&amp;service=x&amp;service=y"
