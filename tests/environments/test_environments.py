from datetime import time, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.audit import actions as audit
from apps.audit.models import AuditEvent
from apps.configuration import actions as configuration_actions
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.environments import actions
from apps.environments.enums import FreezeScope
from apps.environments.local_ports import free_ports, is_free
from apps.environments.models import Environment, Freeze, Hold, Lane, Resource, Window
from tests.cast import NOW
from tests.world import HOSTILE, World, last_event, make_environment, make_lane, make_service

LATER = NOW + timedelta(hours=1)


def local(world: World, **fields):
    values = {
        "slug": "local",
        "name": "Local",
        "tier": "LOCAL",
        "purpose": "Developer testing",
        "data_class": "SYNTHETIC",
        "url_pattern": "*.localhost",
        "deployment_method": "Manual",
        "by": world.cast.release_engineer,
        "now": NOW,
    }
    return actions.create_environment(world.cast.platform, **(values | fields))


def test_a_release_engineer_makes_a_local_environment(world: World):
    environment = local(world)

    event = last_event("environment.created")
    assert (event.target_id, event.actor_label) == (str(environment.pk), "Release engineer")
    assert event.change["tier"] == {"before": None, "after": "LOCAL"}


@pytest.mark.parametrize("tier", ["DEV", "QA", "STAGING", "PRODUCTION"])
def test_only_devops_adds_environments_of_other_tiers(world: World, tier):
    with pytest.raises(Denied):
        local(world, tier=tier)
    assert local(world, tier=tier, by=world.cast.devops).tier == tier


@pytest.mark.parametrize(
    "fields",
    [
        {"tier": "MOON"}, {"data_class": "MADE_UP"}, {"data_class": "REAL"}, {"slug": "With space"}, {"slug": "ö"},
        {"slug": "x/y"},
    ],
)  # fmt: skip
def test_a_malformed_environment_is_refused(world: World, fields):
    before = Environment.objects.count()

    with pytest.raises(actions.EnvironmentInvalid):
        local(world, **({"by": world.cast.devops} | fields))
    assert Environment.objects.count() == before


@pytest.mark.parametrize("fields", [{"name": ""}, {"name": "x" * 61}, {"purpose": "a\x00b"}, {"url_pattern": "a\nb"}])
def test_texts_have_bounds(world: World, fields):
    with pytest.raises(TextInvalid):
        local(world, **fields)


def test_a_short_name_is_taken_once_in_a_workspace(world: World):
    local(world)

    with pytest.raises(actions.EnvironmentExists):
        local(world)


def test_a_local_environment_is_destroyed_at_any_time(world: World, devops):
    environment = local(world)
    lane = make_lane(environment, world.service)
    actions.claim_resource(environment, kind="DATA_STORE", uri="sqlite://local/data", by=devops, now=NOW)
    Lane.objects.filter(pk=lane.pk).update(live_release=world.release, live_since=NOW)

    actions.destroy_environment(environment, by=world.cast.release_engineer, now=LATER)

    environment.refresh_from_db()
    lane.refresh_from_db()
    assert environment.destroyed_by == world.cast.release_engineer
    assert lane.removed_at == LATER
    assert not Resource.objects.filter(environment=environment, released_at=None).exists()
    assert last_event("environment.destroyed").change["running"]["before"] == ["Greeter"]


def test_nothing_of_another_environment_changes_when_a_local_one_is_destroyed(world: World):
    environment = local(world)
    make_lane(environment, world.service)
    others = Lane.objects.exclude(environment=environment)
    before = list(others.order_by("pk").values())
    resources = list(Resource.objects.exclude(environment=environment).order_by("pk").values())

    actions.recreate_environment(environment, by=world.cast.release_engineer, now=LATER)

    after = others.exclude(environment__slug="local").order_by("pk").values()
    assert list(after) == before
    assert list(Resource.objects.exclude(environment__slug="local").order_by("pk").values()) == resources


def test_a_recreated_environment_has_the_same_services_and_nothing_running(world: World):
    environment = local(world)
    lane = make_lane(environment, world.service)
    Lane.objects.filter(pk=lane.pk).update(live_release=world.release, live_since=NOW)

    again = actions.recreate_environment(environment, by=world.cast.release_engineer, now=LATER)

    assert (again.slug, again.pk != environment.pk) == ("local", True)
    fresh = Lane.objects.get(environment=again, removed_at=None)
    assert (fresh.service, fresh.live_release, fresh.target_key != lane.target_key) == (world.service, None, True)


def test_only_local_ones_are_made_anew(world: World, devops):
    with pytest.raises(actions.EnvironmentInvalid):
        actions.recreate_environment(world.dev, by=devops, now=LATER)


def test_where_something_runs_is_not_destroyed(world: World, devops):
    Lane.objects.filter(pk=world.lane(world.dev).pk).update(live_release=world.release, live_since=NOW)

    with pytest.raises(actions.EnvironmentBusy, match="Greeter runs in Dev"):
        actions.destroy_environment(world.dev, by=devops, now=LATER)


def test_an_environment_is_destroyed_once(world: World, release_engineer):
    environment = actions.destroy_environment(local(world), by=release_engineer, now=LATER)

    with pytest.raises(actions.EnvironmentGone):
        actions.destroy_environment(environment, by=release_engineer, now=LATER)


def test_a_lane_has_a_port_of_its_own(world: World):
    ports = [lane.port for lane in Lane.objects.all()]

    assert len(set(ports)) == len(ports)
    assert all(is_free(port) for port in ports)


def test_a_port_belongs_to_one_lane_over_all_workspaces(world: World, cast):
    theirs = make_environment(cast.elsewhere, "Theirs", "DEV")
    taken = world.lane(world.dev).port

    with pytest.raises(actions.PortTaken):
        actions.create_lane(theirs, service=world.service, port=taken, by=cast.outsider, now=NOW)
    assert not Lane.objects.filter(environment=theirs).exists()


def test_a_port_that_a_program_listens_on_is_taken(world: World, devops, settings):
    import socket

    environment = local(world)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        with pytest.raises(actions.PortTaken, match="Another program"):
            actions.create_lane(environment, service=world.service, port=listener.getsockname()[1], by=devops, now=NOW)


def test_two_installations_begin_at_different_ports(tmp_path):
    first = {next(free_ports(tmp_path / str(number))) for number in range(8)}

    assert len(first) > 1


def test_the_twentieth_lane_costs_no_more_than_the_second(world: World, devops):
    costs = []
    for number in range(20):
        service = make_service(world.cast.platform, f"echo-{number}", program=f"echo-{number}")
        with CaptureQueriesContext(connection) as asked:
            actions.create_lane(world.dev, service=service, by=devops, now=NOW)
        costs.append(len(asked))

    assert max(costs[-3:]) <= costs[1]


def test_a_service_is_prepared_once_in_an_environment(world: World, devops):
    with pytest.raises(actions.LaneExists):
        actions.create_lane(world.dev, service=world.service, by=devops, now=NOW)
    assert Resource.objects.filter(environment=world.dev, kind="ENDPOINT").count() == 1


def test_a_removed_lane_gives_its_port_back(world: World, devops):
    lane = actions.remove_lane(world.lane(world.dev), by=devops, now=LATER)

    assert not Resource.objects.filter(environment=world.dev, released_at=None).exists()
    assert last_event("lane.removed").target_id == str(lane.pk)
    with pytest.raises(actions.LaneGone):
        actions.remove_lane(lane, by=devops, now=LATER)


def test_a_target_s_name_fits_and_is_never_given_again(world: World, devops):
    service = make_service(world.cast.platform, "a-service_with-a-very-long-short-name")
    first = actions.create_lane(world.dev, service=service, by=devops, now=NOW)
    actions.remove_lane(first, by=devops, now=LATER)
    second = actions.create_lane(world.dev, service=service, by=devops, now=LATER)

    assert first.target_key != second.target_key
    assert len(second.target_key) <= 40
    assert set(second.target_key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def freeze(world: World, **fields):
    values = {
        "scope": "ENVIRONMENT", "environment": world.production, "workspace_id": world.cast.platform.pk,
        "reason": "Year-end closing", "ends_at": None, "by": world.cast.devops, "now": NOW,
    }  # fmt: skip
    return actions.freeze(**(values | fields))


def test_a_freeze_holds_until_it_is_lifted(world: World, devops):
    made = freeze(world)

    assert list(Freeze.objects.in_force(NOW).over(world.lane(world.production))) == [made]
    assert not Freeze.objects.in_force(NOW).over(world.lane(world.dev)).exists()
    assert last_event("freeze.set").reason == "Year-end closing"
    actions.lift_freeze(made, by=world.cast.security, now=LATER)
    assert not Freeze.objects.in_force(LATER).exists()
    assert last_event("freeze.lifted").actor_label == "Security"
    with pytest.raises(actions.FreezeOver):
        actions.lift_freeze(made, by=devops, now=LATER)


def test_a_freeze_ends_by_itself(world: World, devops):
    made = freeze(world, ends_at=LATER)

    assert Freeze.objects.in_force(LATER - timedelta(seconds=1)).exists()
    assert not Freeze.objects.in_force(LATER).exists()
    with pytest.raises(actions.FreezeOver, match="by itself"):
        actions.lift_freeze(made, by=devops, now=LATER)


@pytest.mark.parametrize(("scope", "holds"), [("LANE", 1), ("ENVIRONMENT", 1), ("WORKSPACE", 4), ("ALL", 5)])
def test_a_freeze_holds_its_scope_and_nothing_else(world: World, scope, holds):
    where = {
        "environment": world.dev if scope == FreezeScope.ENVIRONMENT else None,
        "lane": world.lane(world.dev) if scope == FreezeScope.LANE else None,
    }
    freeze(world, scope=scope, **where)

    held = [lane for lane in world.lanes.values() if Freeze.objects.in_force(NOW).over(lane).exists()]
    assert len(held) == holds


@pytest.mark.parametrize(
    "fields",
    [{"scope": "MOON"}, {"scope": "LANE"}, {"environment": None}, {"ends_at": NOW}, {"scope": "ALL"}],
)
def test_a_malformed_freeze_is_refused(world: World, fields):
    with pytest.raises(actions.FreezeInvalid):
        freeze(world, **fields)
    assert not Freeze.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "x" * 301])
def test_a_freeze_needs_a_reason(world: World, reason):
    with pytest.raises(TextInvalid):
        freeze(world, reason=reason)


def test_a_customer_freezes_their_own_environment_and_not_everything(world: World, customer_operator):
    mine = {"environment": world.customer_production, "workspace_id": world.cast.customer.pk, "by": customer_operator}
    assert freeze(world, **mine)

    with pytest.raises(Denied, match="Only the platform"):
        freeze(world, **(mine | {"scope": "ALL", "environment": None}))
    with pytest.raises(Denied):
        freeze(world, by=customer_operator)


@pytest.mark.parametrize("role", ["release_engineer", "auditor", "outsider"])
def test_who_has_no_right_to_freeze_is_told_who_has(world: World, role):
    with pytest.raises(Denied, match="Engineering manager or DevOps or Security"):
        freeze(world, by=getattr(world.cast, role))


@pytest.mark.parametrize("reason", HOSTILE)
def test_hostile_reasons_are_kept_as_they_are(world: World, reason):
    assert freeze(world, reason=reason).reason == reason


def test_a_hold_is_set_by_the_engine_and_lifted_by_a_person(world: World, devops):
    from apps.audit.actors import SYSTEM

    lane = world.lane(world.production)
    hold = actions.set_hold(lane, reason="Rolled back", deployment_id=None, by=SYSTEM, now=NOW)

    assert actions.set_hold(lane, reason="Again", deployment_id=None, by=SYSTEM, now=NOW) == hold
    assert AuditEvent.objects.filter(kind="hold.set").count() == 1
    with pytest.raises(Denied):
        actions.lift_hold(hold, reason="Mended", by=world.cast.release_engineer, now=LATER)
    with pytest.raises(TextInvalid):
        actions.lift_hold(hold, reason="", by=devops, now=LATER)
    actions.lift_hold(hold, reason="Mended", by=devops, now=LATER)
    assert not Hold.objects.open().exists()
    assert last_event("hold.lifted").reason == "Mended"
    with pytest.raises(actions.HoldLifted):
        actions.lift_hold(hold, reason="Mended", by=devops, now=LATER)


def window(world: World, **fields):
    values = {
        "kind": "ALLOW", "weekdays": [4, 2, 3, 2], "starts_at": time(10), "ends_at": time(15),
        "zone": "America/Los_Angeles", "label": "Preferred", "by": world.cast.devops, "now": NOW,
    }  # fmt: skip
    return actions.set_window(world.production, **(values | fields))


def test_a_window_is_set_and_removed(world: World, devops):
    made = window(world)

    assert made.weekdays == [2, 3, 4]
    assert last_event("window.set").change["zone"]["after"] == "America/Los_Angeles"
    actions.remove_window(made, by=devops, now=LATER)
    assert not Window.objects.filter(label="Preferred").exists()
    assert last_event("window.removed").change["label"]["before"] == "Preferred"


@pytest.mark.parametrize(
    "fields", [{"kind": "SOMETIMES"}, {"weekdays": []}, {"weekdays": [0]}, {"weekdays": [8]}, {"zone": "Mars/Base"}]
)
def test_a_malformed_window_is_refused(world: World, fields):
    with pytest.raises(actions.WindowInvalid):
        window(world, **fields)


def test_only_devops_sets_windows(world: World):
    with pytest.raises(Denied):
        window(world, by=world.cast.engineering_manager)


def test_a_configuration_version_is_the_next_number(world: World, devops):
    lane = world.lane(world.dev)

    version = configuration_actions.write_version(lane, values={"B": "2", "A": "1"}, reason="More", by=devops, now=NOW)

    assert (version.number, list(version.values)) == (2, ["A", "B"])
    assert configuration_actions.current_version(lane) == version
    assert last_event("configuration.written").change["GREETING"] == {"before": "Dev", "after": None}


@pytest.mark.parametrize("values", [{"1A": "x"}, {"A B": "x"}, {"A": 1}, {"": "x"}, {f"A{i}": "" for i in range(201)}])
def test_a_malformed_configuration_is_refused(world: World, devops, values):
    with pytest.raises(configuration_actions.ConfigurationInvalid):
        configuration_actions.write_version(world.lane(world.dev), values=values, reason="x", by=devops, now=NOW)


def test_a_configuration_that_changes_nothing_is_refused(world: World, devops):
    lane = world.lane(world.dev)
    with pytest.raises(configuration_actions.ConfigurationSame):
        configuration_actions.write_version(
            lane, values=world.configuration(world.dev).values, reason="x", by=devops, now=NOW
        )


def test_who_may_not_configure_is_denied(world: World, auditor):
    with pytest.raises(Denied):
        configuration_actions.write_version(world.lane(world.dev), values={}, reason="x", by=auditor, now=NOW)


def test_a_broken_ledger_takes_the_change_back(world: World, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("the ledger is broken")

    monkeypatch.setattr(audit, "record", broken)
    before = Freeze.objects.count(), Environment.objects.count()

    for attempt in (freeze, local):
        with pytest.raises(RuntimeError), transaction.atomic():
            attempt(world)

    assert (Freeze.objects.count(), Environment.objects.count()) == before


def test_no_other_workspace_sees_any_of_it(world: World):
    from apps.workspaces.scope import workspace_scope

    freeze(world)
    with workspace_scope([world.cast.elsewhere.pk]):
        for model in (Environment, Lane, Resource, Window, Freeze, Hold):
            assert not model.objects.exists(), model
