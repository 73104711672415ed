"""What the page's script makes of a stream that breaks, stays silent, is refused or ends; and of impatient people."""

import time
from collections.abc import Callable, Iterator

import pytest
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails
from playwright.sync_api import Page, expect

from apps.core.refusals import tell, telling_of
from apps.core.verdict import Conflict
from tests.browser.stream_server import StreamServer, running

pytestmark = pytest.mark.browser


@pytest.fixture
def far() -> Iterator[tuple[StreamServer, str]]:
    with running() as started:
        yield started


def test_a_message_changes_the_region_and_the_indicator_says_live(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    page.goto(url)
    expect(page.locator("#live")).to_contain_text("Live")

    server.send('<p id="value">second</p>', id="7")

    expect(page.locator("#value")).to_have_text("second")


def test_a_broken_stream_is_taken_up_where_it_stopped(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    page.goto(url)
    server.send('<p id="value">second</p>', id="7")
    expect(page.locator("#value")).to_have_text("second")

    server.events.put(None)
    server.send('<p id="value">third</p>', id="8")

    expect(page.locator("#value")).to_have_text("third")
    assert server.connects == ["", "7"]


def test_silence_is_told_with_the_time_of_the_data_and_heard_again(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    page.clock.install(time="2026-11-22T19:18:00Z")
    page.goto(url)
    server.send('<p id="value">second</p>', id="7")
    expect(page.locator("#value")).to_have_text("second")

    page.clock.run_for(19_000)
    expect(page.locator("#live")).to_have_text("Live")
    page.clock.run_for(3_000)
    expect(page.locator("#live")).to_have_text("Reconnecting, data from 20:18")

    server.send("", event="beat")
    expect(page.locator("#live")).to_have_text("Live")


def test_a_half_open_connection_is_cut_and_opened_anew(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    page.clock.install()
    page.goto(url)
    server.send('<p id="value">second</p>', id="7")
    expect(page.locator("#value")).to_have_text("second")

    page.clock.run_for(42_000)
    page.clock.run_for(2_000)

    expect(page.locator("#live")).to_have_text("Live")
    assert server.connects[:2] == ["", "7"]


def test_the_server_can_ask_to_be_polled_and_to_stop(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    page.goto(url)
    expect(page.locator("#live")).to_have_text("Live")

    server.send("", event="poll")
    expect(page.locator("#value")).to_have_text("polled")
    expect(page.locator("#live")).to_have_text("Live, every 5 s")

    server.send('<p id="value">pushed</p>', id="9")
    expect(page.locator("#value")).to_have_text("pushed")
    expect(page.locator("#live")).to_have_text("Live")


def _pass_until(page: Page, text: str) -> None:
    """Let the page's seconds pass, each with time for the server's answer: its clock must not outrun the network."""
    for _ in range(60):
        if page.locator("#value").text_content() == text:
            return
        page.clock.run_for(1_000)
        time.sleep(0.1)
    expect(page.locator("#value")).to_have_text(text)


def test_a_refused_stream_is_polled_and_its_answer_never_shown(
    far: tuple[StreamServer, str], page: Page, complaints: list[str]
) -> None:
    server, url = far
    server.stream_status = 503
    page.clock.install()
    page.goto(url)
    _pass_until(page, "polled")

    assert len(server.connects) >= 3
    assert server.polls >= 1
    assert "never shown" not in page.content()

    server.stream_status = 200
    server.send('<p id="value">pushed</p>')
    _pass_until(page, "pushed")
    polls = server.polls
    page.clock.run_for(12_000)
    assert server.polls == polls


def test_a_finished_stream_says_so_and_stays_closed(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    page.goto(url)
    expect(page.locator("#live")).to_have_text("Live")

    server.send("", event="done")

    expect(page.locator("#live")).to_have_text("Finished")
    assert server.connects == [""]


def test_what_a_person_opened_and_typed_survives_an_update(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    part = '<details id="more"><summary>More</summary>{}</details><input id="word" aria-label="Word" hx-morph-skip>'
    page.goto(url)
    server.send(part.format("one"))
    page.get_by_text("More").click()
    page.get_by_label("Word").fill("typed")

    server.send(part.format("two"))

    expect(page.locator("#more")).to_contain_text("two")
    expect(page.locator("#more")).to_have_attribute("open", "")
    expect(page.get_by_label("Word")).to_have_value("typed")


def test_a_second_press_sends_nothing_until_the_first_is_answered(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    page.goto(url)
    send = page.get_by_role("button", name="Send")
    send.click()
    send.click(force=True)
    send.click(force=True)
    server.release_posts.set()

    expect(page.locator("#answer")).to_have_text("answered")
    assert server.posts == 1

    send.click()
    expect(send).not_to_have_attribute("aria-disabled", "true")
    assert server.posts == 2


def test_an_error_of_the_server_is_told_and_not_shown_in_place(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    server.post_status = 500
    server.release_posts.set()
    page.goto(url)
    page.get_by_role("button", name="Send").click()

    expect(page.locator("#banner")).to_contain_text("answered with an error (500)")
    expect(page.locator("#answer")).to_be_empty()


def test_a_lost_network_is_told(
    far: tuple[StreamServer, str], open_page: Callable[..., Page], complaints: list[str]
) -> None:
    _, url = far
    page = open_page()
    page.goto(url)
    page.context.set_offline(True)
    page.get_by_role("button", name="Send").click()

    expect(page.locator("#banner")).to_contain_text("Nothing was sent twice")
    complaints.clear()  # htmx reports the failed request itself


def test_a_refusal_closes_the_dialog_and_is_told_at_the_head_of_the_page(
    far: tuple[StreamServer, str], page: Page
) -> None:
    server, url = far
    request = RequestFactory().post("/post", headers={"HX-Request": "true", "HX-Current-URL": url})
    request.htmx = HtmxDetails(request)
    refusal = tell(request, telling_of(Conflict("Somebody was faster.")))
    server.post_status, server.post_body = refusal.status_code, refusal.content.decode()
    server.post_headers = {name: refusal[name] for name in ("HX-Retarget", "HX-Reswap")}
    server.release_posts.set()
    page.goto(url)

    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Do it").click()

    expect(page.locator("#refusal-told")).to_be_focused()
    expect(page.locator("#refusal-told")).to_contain_text("Somebody was faster.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#answer")).to_be_empty()

    server.post_status, server.post_body, server.post_headers = 200, "<p>answered</p>", {}
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_have_text("answered")
    expect(page.locator("#refusal")).to_be_empty()


def test_an_invalid_form_is_shown_where_it_was(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    server.post_status, server.post_body = 422, "<p>This field is required.</p>"
    server.release_posts.set()
    page.goto(url)
    page.get_by_role("button", name="Send").click()

    expect(page.locator("#answer")).to_have_text("This field is required.")


def test_a_done_action_closes_its_dialog(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    server.release_posts.set()
    page.goto(url)
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Do it").click()

    expect(page.locator("#answer")).to_have_text("answered")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_log_follows_until_one_scrolls_up(far: tuple[StreamServer, str], page: Page) -> None:
    server, url = far
    lines = "<li>one line of the log</li>" * 60
    part = f'<hx-partial hx-target="#lines" hx-swap="beforeend">{lines}</hx-partial>'
    rest = "log => log.scrollHeight - log.scrollTop - log.clientHeight"
    page.goto(url)
    follow = page.get_by_role("button", name="Follow")
    server.send(part)
    expect(page.locator("#lines li")).to_have_count(60)
    assert page.locator("#log").evaluate(rest) < 24

    page.locator("#log").hover()
    page.mouse.wheel(0, -300)
    expect(follow).to_have_attribute("aria-pressed", "false")
    server.send(part)
    expect(page.locator("#lines li")).to_have_count(120)
    assert page.locator("#log").evaluate(rest) > 200

    follow.click()
    assert page.locator("#log").evaluate(rest) < 24
    server.send(part)
    expect(page.locator("#lines li")).to_have_count(180)
    assert page.locator("#log").evaluate(rest) < 24
