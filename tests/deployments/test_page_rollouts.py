from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from apps.audit.actors import SYSTEM
from apps.deployments import rollouts
from apps.deployments.enums import RolloutState
from apps.deployments.models import Rollout
from apps.environments.enums import Tier
from apps.environments.models import Lane
from apps.workspaces import actions as workspace_actions
from tests.cast import NOW
from tests.drill import HTMX, get, post, signed_in, text_of
from tests.world import HOSTILE, World, make_environment, make_lane

pytestmark = pytest.mark.django_db

LIST = reverse("deployments:rollout-list")


def address(rollout: Rollout, name: str = "rollout-detail") -> str:
    return reverse(f"deployments:{name}", args=[rollout.number])


def lanes(world: World, count: int = 2) -> list:
    with world.everything():
        places = [make_environment(world.cast.platform, f"Dev {n}", Tier.DEV) for n in range(1, count)]
        return [world.lane(world.dev), *(make_lane(place, world.service) for place in places)]


def begun(world: World, count: int = 2, *, reason: str = "") -> Rollout:
    chosen = lanes(world, count)
    with world.everything():
        return rollouts.start_rollout(
            world.release, waves_of={lane: min(number, 2) for number, lane in enumerate(chosen, 1)},
            pause=timedelta(hours=1), reason=reason, by=world.cast.release_engineer, now=timezone.now(),
        )  # fmt: skip


def form_of(world: World) -> str:
    return reverse("deployments:rollout-create", args=[world.release.pk, world.cast.platform.slug])


def test_a_release_that_may_go_to_several_environments_offers_a_roll_out(world: World) -> None:
    page = reverse("releases:release-detail", args=["greeter", "1.0.0"])
    assert form_of(world) not in text_of(get(world.cast.release_engineer, page))

    lanes(world)

    assert form_of(world) in text_of(get(world.cast.release_engineer, page))


def test_only_environments_that_the_release_may_come_to_are_offered(world: World) -> None:
    lanes(world)

    page = text_of(get(world.cast.release_engineer, form_of(world)))

    assert "Wave of Dev 1" in page
    assert "Wave of QA" not in page
    assert "Wave of Production" not in page


def test_it_is_started_from_a_form_and_shown_wave_by_wave(world: World) -> None:
    first, second = lanes(world)
    data = {"pause": "60", "reason": "Quarter", f"lane-{first.pk}": "1", f"lane-{second.pk}": "2"}

    answer = post(world.cast.release_engineer, form_of(world), data)

    with world.everything():
        rollout = Rollout.objects.get()
    assert answer["Location"] == address(rollout)
    page = text_of(get(world.cast.auditor, address(rollout)))
    assert page.count("Waits for its wave") == 2
    assert "Wave 2" in page
    assert "Quarter" in page


def test_a_form_that_is_no_roll_out_keeps_what_was_chosen(world: World) -> None:
    first, second = lanes(world)
    data = {"pause": "60", "reason": "Quarter", f"lane-{first.pk}": "1", f"lane-{second.pk}": ""}

    answer = post(world.cast.release_engineer, form_of(world), data)

    assert answer.status_code == 422
    assert "two environments at least" in text_of(answer)
    assert 'value="Quarter"' in text_of(answer)
    assert post(world.cast.release_engineer, form_of(world), data | {"pause": "7"}).status_code == 422


def test_starting_and_steering_is_for_those_who_may(world: World) -> None:
    rollout = begun(world)

    assert get(world.cast.auditor, form_of(world)).status_code == 403
    for name in ("rollout-pause", "rollout-resume", "wave-release", "rollout-stop"):
        assert post(world.cast.auditor, address(rollout, name), {"reason": "Because", "wave": "2"}).status_code == 403
    assert "do not let you" in text_of(get(world.cast.auditor, address(rollout)))


@pytest.mark.parametrize("name", ["rollout-pause", "rollout-resume", "wave-release"])
def test_what_changes_takes_no_get(world: World, name: str) -> None:
    assert get(world.cast.devops, address(begun(world), name)).status_code == 405


def test_a_stale_page_changes_nothing(world: World) -> None:
    rollout = begun(world)

    assert post(world.cast.devops, address(rollout, "rollout-resume")).status_code == 409
    assert post(world.cast.devops, address(rollout, "wave-release"), {"wave": "2"}).status_code == 409
    assert post(world.cast.devops, address(rollout, "wave-release"), {"wave": "x"}).status_code == 409
    assert post(world.cast.devops, address(rollout, "rollout-stop"), {"reason": ""}).status_code == 422
    with world.everything():
        assert Rollout.objects.get().state == RolloutState.RUNNING


def test_a_second_one_names_the_first(world: World) -> None:
    rollout = begun(world)

    with world.everything():
        chosen = {lane.pk: lane for lane in (row.lane for row in rollout.lanes.in_order())}
    data = {"pause": "0", **{f"lane-{pk}": "1" for pk in chosen}}
    answer = post(world.cast.release_engineer, form_of(world), data)

    assert answer.status_code == 409
    assert f"Roll-out {rollout} of Greeter 1.0.0 is running" in text_of(answer)


@pytest.mark.parametrize("text", HOSTILE[:3])
def test_hostile_text_is_shown_as_text(world: World, text: str) -> None:
    rollout = begun(world, reason=f"For {text}")

    page = text_of(get(world.cast.devops, address(rollout)))

    assert escape(f"For {text}") in page


def test_the_list_costs_the_same_for_one_and_many(world: World) -> None:
    rollout = begun(world)
    client = signed_in(world.cast.devops)
    client.get(LIST)
    with CaptureQueriesContext(connection) as one:
        client.get(LIST)
    for _ in range(4):
        post(world.cast.devops, address(rollout, "rollout-stop"), {"reason": "Make room"})
        with world.everything():
            chosen = {row.lane: row.wave for row in rollout.lanes.in_order()}
            rollout = rollouts.start_rollout(
                world.release, waves_of=chosen, pause=timedelta(0), reason="", by=world.cast.release_engineer,
                now=timezone.now(),
            )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        page = text_of(client.get(LIST))

    assert page.count("Greeter <span") == 5
    assert len(many) == len(one)
    assert text_of(get(world.cast.devops, LIST, **HTMX)).lstrip().startswith('<section class="card-p" id="rollouts"')


def test_the_page_costs_the_same_for_two_environments_and_many(world: World) -> None:
    small = begun(world)
    client = signed_in(world.cast.devops)
    client.get(address(small))
    with CaptureQueriesContext(connection) as few:
        client.get(address(small))
    post(world.cast.devops, address(small, "rollout-stop"), {"reason": "Make room"})
    with world.everything():
        more = [make_lane(make_environment(world.cast.platform, f"Far {n}", Tier.DEV), world.service) for n in range(8)]
        large = rollouts.start_rollout(
            world.release, waves_of=dict.fromkeys(more, 1), pause=timedelta(0), reason="",
            by=world.cast.release_engineer, now=timezone.now(),
        )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        client.get(address(large))

    assert len(many) == len(few)


def guests(world: World, *names: str) -> list[Lane]:
    """Return the platform's Dev, and environments of these names at the customer's and elsewhere, in turns."""
    cast = world.cast
    with world.everything():
        for guest in (cast.customer, cast.elsewhere):
            workspace_actions.grant_role(
                cast.release_engineer, role="RELEASE_ENGINEER", workspace=guest, by=SYSTEM, now=NOW
            )
        places = [
            make_environment((cast.customer, cast.elsewhere)[number % 2], name, Tier.DEV)
            for number, name in enumerate(names)
        ]
        return [world.lane(world.dev), *(make_lane(place, world.service) for place in places)]


def spanning(world: World, *chosen: Lane) -> Rollout:
    with world.everything():
        return rollouts.start_rollout(
            world.release, waves_of={lane: min(number, 2) for number, lane in enumerate(chosen, 1)},
            pause=timedelta(hours=1), reason="Quarter", by=world.cast.release_engineer, now=timezone.now(),
        )  # fmt: skip


def test_a_wave_is_chosen_for_a_whole_workspace_or_for_each_environment(world: World) -> None:
    own, north, _vault, east = guests(world, "North", "Vault", "East")
    page = text_of(get(world.cast.release_engineer, form_of(world)))
    assert "Wave of all environments of Elsewhere" in page
    assert "Wave of Vault of Elsewhere" in page
    data = {
        "pause": "0", f"lane-{own.pk}": "1", f"lane-{north.pk}": "3", f"lane-{east.pk}": "",
        f"workspace-{world.cast.elsewhere.pk}": "2",
    }  # fmt: skip

    answer = post(world.cast.release_engineer, form_of(world), data)

    with world.everything():
        rollout = Rollout.objects.get()
        waves = [(row.lane.environment.name, row.wave) for row in rollout.lanes.in_order()]
    assert waves == [("Dev", 1), ("Vault", 2), ("North", 3)]
    page = text_of(get(world.cast.release_engineer, answer["Location"]))
    assert [name in page for name in ("North Bank", "Elsewhere", "Vault", "3 environments")] == [
        True,
        True,
        True,
        False,
    ]


def test_who_may_not_ask_at_home_is_offered_one_workspace_alone(world: World) -> None:
    guests(world, "North", "Vault", "East", "Cellar")
    page = reverse("releases:release-detail", args=["greeter", "1.0.0"])
    elsewhere = reverse("deployments:rollout-create", args=[world.release.pk, world.cast.elsewhere.slug])

    assert elsewhere in text_of(get(world.cast.outsider, page))
    assert "Wave of Vault" in text_of(get(world.cast.outsider, elsewhere))
    assert "Elsewhere" not in text_of(get(world.cast.release_engineer, page)).split("Roll out in waves", 1)[1][:80]


def test_a_guest_reads_and_decides_its_own_part_alone(world: World) -> None:
    rollout, operator = spanning(world, *guests(world, "North", "Vault")), world.cast.customer_operator
    part = reverse("deployments:rollout-part", args=[rollout.number, world.cast.customer.slug])

    page = text_of(get(operator, address(rollout)))
    found = page + text_of(get(operator, LIST)) + text_of(get(operator, part))
    assert "Wave 2 comes when those before it have stayed well." in page
    assert part in page
    assert not [name for name in ("Vault", "Elsewhere", "EAIP platform", ">Dev<", "Wave 1") if name in found]
    assert address(rollout, "rollout-stop") not in page
    for name in ("rollout-pause", "rollout-resume", "wave-release", "rollout-stop"):
        assert post(operator, address(rollout, name), {"reason": "Because", "wave": "2"}).status_code == 403

    assert post(operator, part, {"to": "IN", "reason": "Month's end"}).status_code == 422
    assert post(operator, part, {"to": "HELD", "reason": "Month's end"})["Location"] == address(rollout)
    page = text_of(get(operator, address(rollout)))
    assert "Held" in page
    assert "Month&#x27;s end" in page
    assert get(world.cast.devops, part).status_code == 404
    assert post(operator, part, {"to": "LEFT", "reason": "Month's end"}).status_code == 302
    assert "Nothing of North Bank waits" in text_of(get(operator, part))


def test_who_steers_sees_no_guest_that_is_not_theirs_and_may_stop(world: World) -> None:
    rollout, devops = spanning(world, *guests(world, "North", "Vault")), world.cast.devops

    page = text_of(get(devops, address(rollout)))

    assert not [name for name in ("Vault", "Elsewhere", "North") if name in page]
    assert post(devops, address(rollout, "rollout-stop"), {"reason": "Wrong one"}).status_code == 302
    assert "Stopped by DevOps: Wrong one" in text_of(get(world.cast.customer_operator, address(rollout)))


def test_the_page_costs_the_same_for_few_guests_and_many(world: World) -> None:
    client = signed_in(world.cast.release_engineer)
    own, *others = guests(world, "A", "B", "C", "D", "E", "F")
    costs = []
    for chosen in (others[:1], others):
        rollout = spanning(world, own, *chosen)
        client.get(address(rollout))
        with CaptureQueriesContext(connection) as queries:
            client.get(address(rollout))
        costs.append(len(queries))
        post(world.cast.devops, address(rollout, "rollout-stop"), {"reason": "Make room"})

    assert costs[0] == costs[1]
