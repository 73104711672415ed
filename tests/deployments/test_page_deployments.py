from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.audit.actors import SYSTEM
from apps.core import live
from apps.deployments import actions, transitions
from apps.deployments.enums import DeploymentState as S
from apps.deployments.enums import StepVerdict
from apps.deployments.models import Deployment, LogChunk, Step, VerificationSample
from apps.deployments.sweeper import Sweeper
from apps.environments import actions as environment_actions
from apps.environments.models import Hold
from apps.health.models import HealthSample
from tests.drill import HTMX, get, post, signed_in, text_of
from tests.world import HOSTILE, World

pytestmark = pytest.mark.django_db

LIST = reverse("deployments:deployment-list")
SECOND = timedelta(seconds=1)


def address(deployment: Deployment, name: str = "deployment-detail") -> str:
    return reverse(f"deployments:{name}", args=[deployment.number])


def queued(world: World, version: str | None = None) -> Deployment:
    now = timezone.now()
    release = world.next_release(version) if version else world.release
    promotion = approval_actions.request_promotion(
        release, lane=world.lane(world.dev), by=world.cast.release_engineer, now=now, starts_by_itself=False
    )
    return actions.start_deployment(promotion, by=world.cast.release_engineer, now=now)


def running(world: World) -> Deployment:
    deployment = queued(world)
    now = timezone.now()
    approval_actions.mark(deployment.promotion, PromotionState.DEPLOYING, by=SYSTEM, now=now)
    changes = {"started_at": now - 30 * SECOND, "fence": 1}
    transitions.advance(deployment, S.STARTING, by=SYSTEM, now=now, changes=changes)
    for seq, (kind, label) in enumerate([("INSTALL", "Install 1.0.0"), ("SWITCH", "Switch traffic")], 1):
        Step.objects.create(
            workspace_id=deployment.workspace_id, deployment=deployment, seq=seq, kind=kind, label=label, fence=1,
            intent={"expected_seconds": 6}, intent_sha256="0" * 64,
            verdict=StepVerdict.RUNNING if seq == 1 else StepVerdict.PLANNED, started_at=now if seq == 1 else None,
        )  # fmt: skip
    return deployment


def lost(world: World) -> Deployment:
    deployment = running(world)
    changes = {"unknown_since": timezone.now(), "probed": "The proxy does not answer."}
    transitions.advance(deployment, S.UNKNOWN, by=SYSTEM, now=timezone.now(), changes=changes)
    return deployment


def written(deployment: Deployment, *lines: str, step: int = 1) -> Deployment:
    """Put lines below those that the log has."""
    first = deployment.log_lines + 1
    LogChunk.objects.create(
        workspace_id=deployment.workspace_id, deployment=deployment, seq=first, step_seq=step, first_line=first,
        line_count=len(lines), lines=[[1000 * (first + offset), line] for offset, line in enumerate(lines)],
    )  # fmt: skip
    deployment.log_lines += len(lines)
    deployment.save(update_fields=["log_lines"])
    return deployment


def fresh(world: World, deployment: Deployment) -> Deployment:
    with world.everything():
        return Deployment.objects.get(pk=deployment.pk)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", True),
        ("service=greeter&environment=dev&state=OPEN&kind=DEPLOY&q=1.0", True),
        ("state=QUEUED", True),
        ("state=FAILED", False),
        ("kind=ROLLBACK", False),
        ("environment=qa", False),
        ("service=unknown", False),
        ("q=nothing", False),
        ("q=Release engineer", True),
    ],
)
def test_the_list_is_narrowed_by_its_address(world, query, shown):
    deployment = queued(world)

    page = text_of(get(world.cast.auditor, f"{LIST}?{query}"))

    assert (address(deployment) in page) is shown


def test_the_list_finds_a_deployment_by_its_number(world):
    deployment = queued(world)

    assert address(deployment) in text_of(get(world.cast.auditor, f"{LIST}?q=%23{deployment.number}"))


def test_the_list_as_a_fragment_and_to_strangers(world):
    deployment = queued(world)

    assert (
        text_of(get(world.cast.auditor, LIST, **HTMX)).lstrip().startswith('<section class="card-p" id="deployments"')
    )
    assert address(deployment) not in text_of(get(world.cast.outsider, LIST))
    assert post(world.cast.auditor, LIST).status_code == 405


def test_the_list_costs_the_same_for_one_deployment_and_many(world):
    client = signed_in(world.cast.auditor)
    deployment = queued(world)
    client.get(LIST)
    with CaptureQueriesContext(connection) as one:
        client.get(LIST)
    with world.everything():
        for patch in range(1, 5):
            cancelled = Deployment.objects.get(pk=deployment.pk)
            actions.cancel_deployment(cancelled, reason="Next one", by=world.cast.devops, now=timezone.now())
            deployment = queued(world, f"1.0.{patch}")
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)

    assert len(many) == len(one)


def test_a_running_deployment_shows_its_steps_and_how_long_they_take(world):
    page = text_of(get(world.cast.devops, address(running(world))))

    assert "Step 1 of 2: Install 1.0.0" in page
    assert "Switch traffic" in page
    assert "usually" in page
    assert "data-elapsed" in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page


def test_the_log_is_coloured_escaped_and_has_permalinks(world):
    deployment = written(running(world), "\x1b[32mok\x1b[0m", "<script>alert(1)</script>", "third")

    page = text_of(get(world.cast.devops, f"{address(deployment)}?from=2&to=3"))

    assert '<span class="a-g">ok</span>' in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert '<li id="L2" class="hl">' in page
    assert '<li id="L1">' in page
    assert 'href="?from=3&amp;to=3#L3"' in page


def test_the_log_is_searched_past_its_colours(world):
    deployment = written(running(world), "wei\x1b[34mght 0", "nothing", "WEIGHT 256")

    page = text_of(get(world.cast.devops, f"{address(deployment)}?q=weight"))

    assert 'id="L1"' in page
    assert 'id="L2"' not in page
    assert 'id="L3"' in page
    assert "2 lines found" in page


def test_all_that_was_found_is_counted_and_the_first_of_it_shown(world):
    deployment = written(running(world), *(f"line {number}" for number in range(1, 1201)))

    page = text_of(get(world.cast.devops, f"{address(deployment)}?q=LINE"))

    assert "1200 lines found, the first 500 shown" in page
    assert page.count('<li id="L') == 500


def test_the_first_error_is_one_click_away(world):
    deployment = written(running(world), "0 errors so far", "error_rate is 0", *["fine"] * 3000)
    assert "First error" in text_of(get(world.cast.devops, address(deployment)))
    without = text_of(get(world.cast.devops, f"{address(deployment)}?jump=error"))
    written(deployment, "wei\x1b[31mrd ValueE\x1b[0mrror: no such file", "ERROR again", *["fine"] * 3000)

    found = get(world.cast.devops, f"{address(deployment)}?jump=error")

    assert "No line reads like an error" in without
    assert found["Location"] == f"{address(deployment)}?from=3003&to=3003#L3003"
    assert '<li id="L3003" class="hl">' in text_of(get(world.cast.devops, found["Location"]))


def test_a_long_log_shows_its_end_and_loads_earlier_lines(world):
    deployment = written(running(world), *(f"line {number}" for number in range(1, 4502)))
    client = signed_in(world.cast.devops)

    page = text_of(client.get(address(deployment)))
    earlier = text_of(client.get(f"{address(deployment)}?before=2502", headers=HTMX))

    assert page.count('<li id="L') == 2000
    assert 'id="L4501"' in page
    assert "?before=2502" in page
    assert earlier.count('<li id="L') == 2000
    assert 'id="L2501"' in earlier
    assert "<html" not in earlier


@pytest.mark.parametrize(
    "query", ["from=x&to=y", "before=-5", "after=99999999999999999999", "from=9999999", "q=" + "x" * 300]
)
def test_an_address_of_the_log_that_can_not_be_read_still_shows_it(world, query):
    deployment = written(running(world), "only line")

    assert get(world.cast.devops, f"{address(deployment)}?{query}").status_code == 200


def test_the_log_can_be_taken_away_as_text(world):
    deployment = written(running(world), "\x1b[31mred\x1b[0m", "<b>plain</b>")

    response = get(world.cast.devops, address(deployment, "log-raw"))

    assert b"".join(response.streaming_content) == b"red\n<b>plain</b>\n"
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert f"deployment-{deployment.number}.log" in response["Content-Disposition"]


@pytest.mark.parametrize(
    "name", ["deployment-detail", "log-raw", "cancellation", "rollback", "abandonment", "hold-lift"]
)
def test_strangers_find_nothing(world, name):
    deployment = running(world)

    assert get(world.cast.outsider, address(deployment, name)).status_code == 404


@pytest.mark.parametrize("name", ["deployment-detail", "log-raw"])
def test_pages_to_read_take_no_post(world, name):
    assert post(world.cast.devops, address(running(world), name)).status_code == 405


@pytest.mark.parametrize("name", ["cancellation", "rollback", "abandonment", "hold-lift"])
def test_operating_is_for_those_who_may(world, name):
    url = address(lost(world), name)

    assert get(world.cast.auditor, url).status_code == 403
    assert post(world.cast.auditor, url, {"reason": "Because I can"}).status_code == 403


def test_a_deployment_is_cancelled_once_with_a_reason(world):
    deployment = queued(world)
    url = address(deployment, "cancellation")

    assert "It has not begun" in text_of(get(world.cast.devops, url))
    assert post(world.cast.devops, url, {"reason": ""}).status_code == 422
    assert post(world.cast.devops, url, {"reason": "Wrong release"}).status_code == 302
    assert post(world.cast.devops, url, {"reason": "Wrong release"}).status_code == 403
    assert fresh(world, deployment).state == S.CANCELLED


def test_who_may_not_cancel_sees_the_button_with_the_reason(world):
    page = text_of(get(world.cast.auditor, address(running(world))))

    assert "do not let you cancel a deployment" in page


def test_what_is_not_known_is_said_with_what_was_asked(world):
    deployment = lost(world)
    page = text_of(get(world.cast.devops, address(deployment)))

    assert "the portal is finding out" in page
    assert "The proxy does not answer." in page
    assert address(deployment, "abandonment") in page


def test_that_a_person_was_called_is_said_once_it_is_so(world, settings):
    deployment = lost(world)
    page, person = f"/deployments/{deployment.number}/", world.cast.devops
    assert "a person is called" in text_of(get(person, page))
    assert "It is not known how" not in text_of(get(person, "/"))

    settings.ENGINE_UNKNOWN_ALARM = timedelta(0)
    assert "as soon as a worker gets to it" in text_of(get(person, page))
    Sweeper().sweep()

    assert "A person was called at" in text_of(get(person, page))
    dashboard = text_of(get(person, "/"))
    assert "It is not known how Greeter 1.0.0 stands in Dev" in dashboard
    assert "Needs a person" in dashboard


def test_a_lost_deployment_is_abandoned_with_a_reason_and_its_hold_lifted(world):
    deployment = lost(world)
    url, hold = address(deployment, "abandonment"), address(deployment, "hold-lift")

    assert post(world.cast.devops, url, {"reason": ""}).status_code == 422
    assert post(world.cast.devops, url, {"reason": "Restarted it by hand"}).status_code == 302
    assert "On hold" in text_of(get(world.cast.devops, address(deployment)))
    assert get(world.cast.devops, hold).status_code == 200
    assert post(world.cast.devops, hold, {"reason": "ok"}).status_code == 422
    assert post(world.cast.devops, hold, {"reason": "Looked at it"}).status_code == 302
    assert post(world.cast.devops, hold, {"reason": "Looked at it"}).status_code == 404
    with world.everything():
        assert not Hold.objects.open().exists()


def test_a_lane_where_nothing_runs_can_not_be_rolled_back(world):
    url = address(running(world), "rollback")

    assert get(world.cast.devops, url).status_code == 403
    assert "Nothing runs here yet" in text_of(get(world.cast.devops, url))


def test_starting_what_is_ready_and_a_double_click(world):
    promotion = approval_actions.request_promotion(
        world.release, lane=world.lane(world.dev), by=world.cast.release_engineer, now=timezone.now(),
        starts_by_itself=False,
    )  # fmt: skip
    url = reverse("deployments:deployment-create", args=[promotion.pk])

    assert get(world.cast.release_engineer, url).status_code == 405
    assert post(world.cast.auditor, url).status_code == 403
    assert post(world.cast.outsider, url).status_code == 404
    first, second = post(world.cast.release_engineer, url), post(world.cast.release_engineer, url)

    with world.everything():
        started = Deployment.objects.get()
    assert first["Location"] == address(started)
    assert second.status_code == 409
    assert f"#{started.number}" in text_of(second)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(world, text):
    deployment = written(running(world), text)
    environment_actions.set_hold(
        deployment.lane, reason=f"Held: {text}", deployment_id=deployment.pk, by=SYSTEM, now=timezone.now()
    )
    post(world.cast.devops, address(deployment, "cancellation"), {"reason": f"Cancel: {text}"})

    page = text_of(get(world.cast.devops, address(deployment)))

    assert escape(f"Held: {text}") in page
    assert "<script>alert" not in page
    assert "<script>alert" not in text_of(signed_in(world.cast.devops).get(address(deployment), {"q": text}))


def test_the_page_costs_the_same_with_much_log_and_many_samples(world):
    deployment = running(world)
    client = signed_in(world.cast.devops)
    client.get(address(deployment))
    with CaptureQueriesContext(connection) as little:
        client.get(address(deployment))
    with world.everything():
        for number in range(30):
            written(deployment, f"line {number}")
            HealthSample.objects.create(
                workspace_id=deployment.workspace_id, lane=deployment.lane, verdict="HEALTHY", status=200,
                latency_ms=40 + number, checked_at=timezone.now() - number * SECOND,
            )  # fmt: skip
    with CaptureQueriesContext(connection) as much:
        page = text_of(client.get(address(deployment)))

    assert "<polyline" in page
    assert "30 of 30 good" in page
    assert len(much) == len(little)


def rendered(deployment: Deployment, region: str, *, mark: str = "") -> live.Answer:
    page = live.pages["deployment"]
    ask = live.Ask((deployment.workspace_id,), str(deployment.pk), {}, timezone.now(), frozenset(), mark)
    return next(found for found in page.regions if found.name == region).render(ask)


def test_new_lines_are_put_below_the_section_that_they_belong_to(world):
    deployment = written(running(world), "first", "second")
    written(deployment, "third")
    written(deployment, "fourth", step=2)

    answer = rendered(deployment, "log", mark="2")

    assert answer.mark == "4"
    assert [part.target for part in answer.parts] == [
        "#log-lines > section:last-of-type > ol", "#log-lines", "#log-extent",
    ]  # fmt: skip
    assert 'id="L3"' in answer.parts[0].html
    assert 'id="L3"' not in answer.parts[1].html
    assert 'id="L4"' in answer.parts[1].html


def test_of_many_new_lines_the_newest_are_put_below_and_the_rest_can_be_loaded(world):
    deployment = written(running(world), *(f"line {number}" for number in range(1, 4001)))

    answer = rendered(deployment, "log", mark="100")
    html = answer.parts[0].html
    between = text_of(signed_in(world.cast.devops).get(f"{address(deployment)}?before=3501&after=100", headers=HTMX))
    first = text_of(signed_in(world.cast.devops).get(f"{address(deployment)}?before=1501&after=100", headers=HTMX))

    assert answer.mark == "4000"
    assert answer.parts[0].target == "#log-lines"
    assert html.count('<li id="L') == 500
    assert html.startswith('<p class="tail" id="log-before-3501">')
    assert "?before=3501&amp;after=100" in html
    assert (between.count('<li id="L'), 'id="L1501"' in between, 'id="L3500"' in between) == (2000, True, True)
    assert "?before=1501&amp;after=100" in between
    assert (first.count('<li id="L'), 'id="L101"' in first, "Load earlier" in first) == (1400, True, False)


def test_a_page_that_polls_gets_the_log_in_place_of_what_it_has(world):
    deployment = written(running(world), "first", "second")

    first, again = (rendered(deployment, "log") for _ in range(2))

    assert (first.parts[0].target, first.parts[0].swap) == ("#log-lines", "innerMorph")
    assert first.parts[0].html.count('id="L1"') == 1
    assert again.parts[0].html == first.parts[0].html
    assert again.mark == "2"


def test_a_log_without_news_sends_nothing(world):
    deployment = written(running(world), "first")

    answer = rendered(deployment, "log", mark="1")

    assert (list(answer.parts), answer.mark) == ([], "1")


def test_the_verification_grows_on_the_open_page_sample_by_sample(world):
    deployment = running(world)
    deployment.terms = {"limit_seconds": 120, "before": {"p95_ms": 12.0}, "source": "proxy"}
    deployment.save(update_fields=["terms"])
    before = rendered(deployment, "signals")

    for fault in ("", "503 in 4 ms", ""):
        VerificationSample.objects.create(
            workspace_id=deployment.workspace_id, deployment=deployment, taken_at=timezone.now(), fault=fault,
            requests=40, errors=1, p95_ms=30, error_limit=5, p95_limit_ms=100,
        )  # fmt: skip
    after = rendered(deployment, "signals")

    assert "Verification" not in before
    assert "3 samples, by the proxy" in after
    assert "2 of 3 good" in after
    assert "Last fault: 503 in 4 ms" in after
    assert "12 ms before" in after


@pytest.mark.parametrize("region", ["hero", "outcome", "steps", "signals"])
def test_live_parts_hold_nothing_of_one_viewer(world, region):
    html = str(rendered(lost(world), region))

    assert "<form" not in html
    assert "csrf" not in html
    assert "<button" not in html


def test_only_members_watch(world):
    deployment = running(world)
    page = live.pages["deployment"]

    def ask(workspace_id):
        return live.Ask((workspace_id,), str(deployment.pk), {}, timezone.now())

    assert page.may_watch(ask(world.cast.platform.pk))
    assert not page.may_watch(ask(world.cast.elsewhere.pk))


def test_new_lines_of_the_log_redraw_nothing_else() -> None:
    for page in (live.pages["deployment"], live.pages["deployment-progress"]):
        assert {region.name for region in page.regions if region.concerns(frozenset({"log:7"}), "7")} <= {"log"}
        assert all(region.concerns(frozenset({"deployment:7"}), "7") for region in page.regions)
    assert not any(region.concerns(frozenset({"log:7"}), "") for region in live.pages["dashboard"].regions)
