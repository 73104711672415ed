import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from apps.approvals import actions, views
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Promotion
from apps.configuration import actions as configuration_actions
from apps.core import live
from tests.approvals.promotions import approve_all, ask, ask_for_production, beside, bring, lane_of, move, say
from tests.cast import NOW, PASSWORD
from tests.drill import HTMX, get, post, signed_in, text_of
from tests.world import HOSTILE, World

pytestmark = pytest.mark.django_db

INBOX = reverse("approvals:inbox")


@pytest.fixture(autouse=True)
def _the_worlds_moment(monkeypatch):
    """Pages judge at the moment at which the world's promotions were asked for: these expire."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def promotion(world):
    return ask_for_production(world, reason="The probes need it")


def address(promotion: Promotion, name: str = "promotion-detail") -> str:
    return reverse(f"approvals:{name}", args=[promotion.number])


def asking(world: World, environment) -> str:
    return reverse("approvals:promotion-create", args=[world.release.pk, world.lane(environment).pk])


def decision(promotion: Promotion, role: str, choice: str = "APPROVE", **changes: object) -> dict[str, object]:
    requirement = promotion.requirements.get(role_id=role)
    plan = {"requirement": requirement.pk, "plan_hash": promotion.plan_hash, "choice": choice, "comment": "Read it"}
    return {**plan, "password": PASSWORD, **changes}


def fresh(world: World, promotion: Promotion) -> Promotion:
    with world.everything():
        return Promotion.objects.get(pk=promotion.pk)


def test_the_inbox_shows_mine_first_and_who_can_answer_the_others(world, promotion):
    manager, engineer = world.cast.engineering_manager, world.cast.release_engineer

    mine = text_of(get(manager, INBOX))
    theirs = text_of(get(engineer, INBOX))

    assert "You decide as Engineering manager" in mine
    assert mine.index("Greeter 1.0.0 to Production") < mine.index("Waiting for others")
    assert "Nothing waits for you" in theirs
    assert "Engineering manager can decide." in theirs


def test_the_inbox_of_a_stranger_is_empty(world, promotion):
    page = text_of(get(world.cast.outsider, INBOX))

    assert f"#{promotion.number}" not in page
    assert "No other promotion is waiting" in page


def test_the_inbox_as_a_fragment(world, promotion):
    assert text_of(get(world.cast.devops, INBOX, **HTMX)).lstrip().startswith('<div class="stack" id="inbox"')


def test_the_inbox_costs_the_same_for_one_promotion_and_many(world, promotion):
    client = signed_in(world.cast.devops)
    client.get(INBOX)
    with CaptureQueriesContext(connection) as one:
        client.get(INBOX)
    with world.everything():
        for patch in range(1, 5):
            ask(world, world.dev, world.next_release(f"1.0.{patch}"), starts_by_itself=False)
            beside(promotion, world.next_release(f"1.1.{patch}"))
    with CaptureQueriesContext(connection) as many:
        page = text_of(client.get(INBOX))

    assert len(many) == len(one)
    assert page.count("You decide as DevOps") == 5


def test_what_waits_for_others_is_looked_for_among_the_newest(world, promotion, monkeypatch):
    monkeypatch.setattr(views, "OTHERS_READ", 2)
    for version in ("1.1.0", "1.2.0"):
        beside(promotion, world.next_release(version))
    say(promotion, "ENGINEERING_MANAGER", world.cast.engineering_manager)
    Promotion.objects.filter(pk=promotion.pk).update(requested_at=NOW - timedelta(hours=1))
    decided = f'href="{address(promotion)}"'

    theirs = text_of(get(world.cast.engineering_manager, INBOX))
    monkeypatch.setattr(views, "OTHERS_READ", 3)

    assert decided not in theirs
    assert decided in text_of(get(world.cast.engineering_manager, INBOX))


def test_asking_shows_what_will_happen_and_asks_once(world):
    url = asking(world, world.dev)
    page = text_of(get(world.cast.release_engineer, url))

    assert "What will happen" in page
    assert "Nobody has to approve it here" in page
    assert "GREETING" in page

    first = post(world.cast.release_engineer, url, {"reason": "First try", "waits": "on"})
    second = post(world.cast.release_engineer, url, {"reason": "First try", "waits": "on"})

    with world.everything():
        asked = Promotion.objects.get()
    assert first["Location"] == address(asked)
    assert (asked.reason, asked.starts_by_itself) == ("First try", False)
    assert second.status_code == 409
    assert f"Promotion #{asked.number}" in text_of(second)


def test_looking_at_what_would_happen_writes_nothing(world):
    get(world.cast.release_engineer, asking(world, world.production))

    with world.everything():
        assert not Promotion.objects.exists()


def test_production_names_who_has_to_approve(world):
    page = text_of(get(world.cast.release_engineer, asking(world, world.production)))

    assert "2 people have to approve" in page
    assert "has not succeeded in Staging yet" in page


def test_asking_for_a_tier_too_far_is_a_conflict(world):
    response = post(world.cast.release_engineer, asking(world, world.production), {"reason": ""})

    assert response.status_code == 409
    assert "Ask for Dev first" in text_of(response)


def test_asking_is_for_those_who_may(world):
    url = asking(world, world.dev)

    assert get(world.cast.auditor, url).status_code == 403
    assert post(world.cast.auditor, url).status_code == 403
    assert post(world.cast.outsider, url).status_code == 404


def test_a_reason_that_can_not_be_kept_is_told_with_the_input_kept(world):
    response = post(world.cast.release_engineer, asking(world, world.dev), {"reason": "a\x07b", "waits": "on"})

    assert response.status_code == 422
    assert "control character" in text_of(response)
    assert re.search(r'name="waits"[^>]* checked', text_of(response))


def test_the_gate_box_says_the_outcome_and_who_may_answer(world, promotion):
    page = text_of(get(world.cast.devops, address(promotion)))

    assert "Waiting for you, as DevOps." in page
    assert "Engineering manager can decide." in page
    assert "Approve for Production" in page
    assert "PROD-" in page


def test_who_may_not_decide_sees_the_button_with_the_reason(world, promotion):
    page = text_of(get(world.cast.release_engineer, address(promotion)))

    assert "disabled" in page
    assert "asked for" in page


def test_two_people_approve_in_the_browser(world, promotion):
    first = post(world.cast.devops, address(promotion, "decision-create"), decision(promotion, "DEVOPS"))
    with world.everything():
        given = decision(promotion, "ENGINEERING_MANAGER")
    second = post(world.cast.engineering_manager, address(promotion, "decision-create"), given)

    assert (first.status_code, second.status_code) == (302, 302)
    assert fresh(world, promotion).state == PromotionState.READY
    page = text_of(get(world.cast.auditor, address(promotion)))
    assert "Read it" in page
    assert "It starts by itself" in page


def test_with_htmx_a_decision_leads_to_the_page(world, promotion):
    client = signed_in(world.cast.devops)

    response = client.post(address(promotion, "decision-create"), decision(promotion, "DEVOPS"), headers=HTMX)

    assert response.status_code == 200
    assert response["HX-Redirect"] == address(promotion)
    assert "You approved Greeter 1.0.0 to Production." in text_of(client.get(address(promotion)))


def test_a_rejection_needs_a_comment_which_is_told_in_the_box(world, promotion):
    given = decision(promotion, "DEVOPS", "REJECT", comment=" ")
    whole = post(world.cast.devops, address(promotion, "decision-create"), given)
    fragment = post(world.cast.devops, address(promotion, "decision-create"), given, **HTMX)

    assert (whole.status_code, fragment.status_code) == (422, 422)
    assert "Say why you reject it" in text_of(whole)
    assert text_of(fragment).lstrip().startswith("<section")
    assert 'id="gate-box"' in text_of(fragment)
    assert fresh(world, promotion).state == PromotionState.PENDING


def test_a_rejection_ends_it(world, promotion):
    given = decision(promotion, "DEVOPS", "REJECT", comment="Errors rose in Staging")
    post(world.cast.devops, address(promotion, "decision-create"), given)

    assert fresh(world, promotion).state == PromotionState.REJECTED
    assert "Errors rose in Staging" in text_of(get(world.cast.auditor, address(promotion)))


def test_a_stale_page_is_told_what_changed_and_keeps_the_comment(world, promotion):
    shown = decision(promotion, "DEVOPS", comment="Looks fine to me")
    move(lane_of(world.production, world), world.release)

    response = post(world.cast.devops, address(promotion, "decision-create"), shown)

    page = text_of(response)
    assert response.status_code == 409
    assert "What runs there changed from nothing to 1.0.0" in page
    assert "Looks fine to me" in page
    with world.everything():
        assert not Decision.objects.exists()


def test_after_a_stale_page_the_same_form_decides_on_the_new_plan(world, promotion):
    shown = decision(promotion, "DEVOPS")
    move(lane_of(world.production, world), world.release)
    stale = text_of(post(world.cast.devops, address(promotion, "decision-create"), shown))
    new_hash = stale.split('name="plan_hash" value="')[1][:64]

    again = post(world.cast.devops, address(promotion, "decision-create"), {**shown, "plan_hash": new_hash})

    assert new_hash != shown["plan_hash"]
    assert again.status_code == 302


def test_a_double_click_decides_once(world, promotion):
    url, given = address(promotion, "decision-create"), decision(promotion, "DEVOPS")
    first, second = post(world.cast.devops, url, given), post(world.cast.devops, url, given)

    assert (first.status_code, second.status_code) == (302, 409)
    with world.everything():
        assert Decision.objects.count() == 1


@pytest.mark.parametrize("changes", [{"choice": "PERHAPS"}, {"plan_hash": "short"}, {"requirement": "nothing"}])
def test_a_forged_decision_is_refused(world, promotion, changes):
    given = {**decision(promotion, "DEVOPS"), **changes}

    assert post(world.cast.devops, address(promotion, "decision-create"), given).status_code == 422


def test_a_requirement_of_another_promotion_is_not_there(world, promotion):
    given = decision(promotion, "DEVOPS")
    other = ask(world, world.dev, world.next_release("1.1.0"), starts_by_itself=False)

    assert post(world.cast.devops, address(other, "decision-create"), given).status_code == 404


def test_deciding_is_for_those_who_may(world, promotion):
    url, given = address(promotion, "decision-create"), decision(promotion, "DEVOPS")

    assert post(world.cast.release_engineer, url, given).status_code == 403
    assert post(world.cast.engineering_manager, url, given).status_code == 403
    assert post(world.cast.outsider, url, given).status_code == 404
    assert get(world.cast.devops, url).status_code == 405


def test_who_asked_takes_it_back_with_a_reason(world, promotion):
    url = address(promotion, "withdrawal")

    assert get(world.cast.release_engineer, url).status_code == 200
    assert post(world.cast.release_engineer, url, {"reason": ""}).status_code == 422
    assert post(world.cast.release_engineer, url, {"reason": "A newer one comes"}).status_code == 302
    assert post(world.cast.release_engineer, url, {"reason": "A newer one comes"}).status_code == 409
    assert fresh(world, promotion).state == PromotionState.WITHDRAWN


def test_withdrawing_is_for_those_who_may(world, promotion):
    url = address(promotion, "withdrawal")

    assert get(world.cast.auditor, url).status_code == 403
    assert post(world.cast.auditor, url, {"reason": "Why not"}).status_code == 403
    assert get(world.cast.outsider, url).status_code == 404


def test_the_page_of_a_promotion_is_not_there_for_strangers(world, promotion):
    assert get(world.cast.outsider, address(promotion)).status_code == 404
    assert post(world.cast.devops, address(promotion)).status_code == 405


def test_one_that_waits_for_a_person_offers_to_start(world):
    waiting = ask(world, world.dev, starts_by_itself=False)

    page = text_of(get(world.cast.release_engineer, address(waiting)))

    assert "Start now" in page
    assert reverse("deployments:deployment-create", args=[waiting.pk]) in page
    assert "do not let you ask for a promotion" in text_of(get(world.cast.auditor, address(waiting)))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(world, text):
    promotion = ask_for_production(world, reason=text)
    say(promotion, "DEVOPS", world.cast.devops, comment=text)

    for url in (address(promotion), INBOX):
        page = text_of(get(world.cast.engineering_manager, url))
        assert escape(text) in page
        assert "<script>alert" not in page


def test_an_ended_promotion_keeps_its_page(world):
    done = bring(world, world.dev)

    page = text_of(get(world.cast.auditor, address(done)))

    assert "Completed" in page
    assert "Approve for" not in page


def test_a_secret_setting_is_not_shown_when_it_changes(world):
    lane = lane_of(world.dev, world)
    configuration_actions.write_version(
        lane, values={"API_TOKEN": "hunter2hunter2", "COLOUR": "blue"}, reason="New", by=world.cast.devops, now=NOW
    )

    page = text_of(get(world.cast.release_engineer, asking(world, world.dev)))

    assert "API_TOKEN" in page
    assert "COLOUR = blue" in page
    assert "hunter2hunter2" not in page


def test_approvals_left_over_do_not_hide_who_approved(world, promotion):
    approve_all(promotion, world)
    withdrawn = actions.withdraw(promotion, reason="Later", by=world.cast.release_engineer, now=NOW)

    assert "approved" in text_of(get(world.cast.auditor, address(withdrawn)))


def test_live_rows_speak_to_nobody_and_say_that_buttons_may_change(world, promotion):
    ask = live.Ask((world.cast.platform.pk,), str(promotion.pk), {}, NOW)
    (gates,) = live.pages["promotion"].regions

    rows, news = gates.render(ask)

    assert "DevOps can decide." in rows.html
    assert "You" not in rows.html + news.html
    assert "<form" not in rows.html + news.html
    assert address(promotion) in news.html


def test_only_members_watch(world, promotion):
    page = live.pages["promotion"]

    def ask(workspace_id):
        return live.Ask((workspace_id,), str(promotion.pk), {}, NOW)

    assert page.may_watch(ask(world.cast.platform.pk))
    assert not page.may_watch(ask(world.cast.elsewhere.pk))


def test_a_customer_promotes_what_has_passed_the_platforms_staging(world):
    page = reverse("releases:release-detail", args=[world.service.slug, world.release.version])
    before = text_of(get(world.cast.customer_operator, page))
    with world.everything():
        bring(world, world.staging)
    after = text_of(get(world.cast.customer_operator, page))

    assert "has not succeeded in Staging yet" in before
    assert "Promote to North Bank" in after
    assert "Promote to Production" not in after


def test_the_path_of_a_release_is_live(world, promotion):
    ask = live.Ask((world.cast.platform.pk,), str(world.release.pk), {}, NOW)
    path, gates = live.pages["release"].regions

    assert "Waiting" in path.render(ask)
    assert [part.target for part in gates.render(ask)] == ["#gates", "#gate-news"]
    assert live.pages["release"].may_watch(ask)
