import dataclasses
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from apps.deployments.executors.contract import (
    ArtifactRejected,
    Cancelled,
    ConfigurationRef,
    LaneRow,
    NotIdle,
    Order,
    OutcomeUnknown,
    ReleaseFailed,
    ReleaseRef,
    Slot,
    SlotRow,
    StaleFence,
    Standing,
    StepKind,
    TargetUntouched,
)
from deploy.local import make_greeter
from tests.executors.conftest import Site
from tests.mirror import Mirror, release
from tests.processes import DeploymentTarget, eventually

Greeter = Callable[[str], ReleaseRef]


def live(site: Site, order: Order) -> LaneRow:
    """Deploy, and return what the database says of the lane afterwards."""
    slot = site.deploy(order)[StepKind.SWITCH].slot
    return LaneRow(order.target, order.fence, SlotRow(slot, order.deployment_id, order.release, order.configuration))


def test_a_first_deployment_brings_the_release_to_the_lane(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    order = site.order(target, greeter("v1.0.0"))

    results = site.deploy(order)

    assert site.read(target) == ("Hello!\n", "1.0.0")
    seen = site.executor.probe(order)
    assert (seen.state, seen.version, seen.healthy) == (Standing.APPLIED, "1.0.0", True)
    assert (seen.digest, seen.deployment_id) == (order.release.digest, order.deployment_id)
    assert results[StepKind.SWITCH].slot is seen.live_slot
    assert results[StepKind.KEEP_BLUE].detail == "Nothing served here before."


def test_a_program_of_the_package_index_is_verified_fetched_installed_and_served(site: Site, mirror: Mirror) -> None:
    target = site.new_target(health_path="/")
    first, second = release("wsgidav", "4.0.1"), release("wsgidav", "4.0.2")

    site.deploy(site.order(target, first))
    assert site.read(target)[1] == "4.0.1"
    site.deploy(site.order(target, second))

    assert site.read(target)[1] == "4.0.2"
    assert any("as the index says" in line for line in site.lines)


def test_configuration_is_the_slots_own(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    site.deploy(site.order(target, greeter("v1.0.0"), configuration=ConfigurationRef(1, {"greeting": "Good day"})))
    assert site.read(target)[0] == "Good day!\n"

    site.deploy(site.order(target, greeter("v1.0.0"), configuration=ConfigurationRef(2, {"greeting": "Good evening"})))

    assert site.read(target)[0] == "Good evening!\n"


def test_a_deployed_program_sees_nothing_of_the_portals_environment(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    site.deploy(site.order(target, greeter("v1.0.0")))

    running = [state.pid for state in site.executor.slots.supervisor.states().values() if state.pid]
    assert running
    for pid in running:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert {entry.partition(b"=")[0] for entry in environment if entry} == {b"LANG", b"PATH", b"PYTHONUNBUFFERED"}


def test_repeating_a_step_changes_nothing(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    order = site.order(target, greeter("v1.0.0"))
    site.deploy(order)
    program = site.executor.slots.supervisor.states()

    again = site.deploy(dataclasses.replace(order, fence=order.fence + 1000))

    assert not any(result.changed for result in again.values())
    assert {name: state.pid for name, state in site.executor.slots.supervisor.states().items()} == {
        name: state.pid for name, state in program.items()
    }


def test_a_lower_fence_is_refused_at_every_step_and_changes_nothing(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    late, order = site.order(target, greeter("v1.0.1")), site.order(target, greeter("v1.0.0"))
    site.deploy(order)

    for step in site.executor.plan(late):
        if step.kind is not StepKind.VERIFY:
            with pytest.raises(StaleFence):
                site.step(step.kind, late)
    with pytest.raises(StaleFence):
        site.executor.discard(late, log=site.lines.append)

    assert site.read(target)[1] == "1.0.0"
    assert site.fence_on(target) == order.fence


def test_a_digest_that_differs_from_the_index_stops_before_the_target(site: Site, mirror: Mirror) -> None:
    target = site.new_target(health_path="/")
    wanted = release("wsgidav", "4.0.1")
    mirror.lies["WsgiDAV-4.0.1-py3-none-any.whl"] = "0" * 64

    with pytest.raises(ArtifactRejected, match="the package index says sha256:000000000000"):
        site.step(StepKind.VERIFY_ARTIFACT, site.order(target, wanted))

    assert site.executor.slots.supervisor.states() == {}


def test_a_manifest_that_was_changed_after_sealing_is_refused(site: Site, greeter: Greeter) -> None:
    sealed = greeter("v1.0.0")
    changed = dataclasses.replace(sealed, manifest=greeter("v1.0.1").manifest)

    with pytest.raises(ArtifactRejected, match="sealed with"):
        site.step(StepKind.VERIFY_ARTIFACT, site.order(site.new_target(), changed))


def test_a_file_that_the_index_withdrew_entirely_is_refused(site: Site, mirror: Mirror) -> None:
    mirror.gone.add("WsgiDAV-4.0.1-py3-none-any.whl")

    with pytest.raises(ArtifactRejected, match="no longer has"):
        site.step(StepKind.VERIFY_ARTIFACT, site.order(site.new_target(), release("wsgidav", "4.0.1")))


def test_an_index_that_is_away_leaves_the_target_untouched(site: Site, mirror: Mirror) -> None:
    mirror.server.shutdown()
    mirror.server.server_close()

    with pytest.raises(TargetUntouched, match="can't be reached") as refused:
        site.step(StepKind.VERIFY_ARTIFACT, site.order(site.new_target(), release("wsgidav", "4.0.1")))

    assert (refused.value.code, refused.value.retry) == ("index-unreachable", True)


def test_a_taken_port_is_named_and_the_proxy_runs_on(site: Site, greeter: Greeter) -> None:
    running, target = site.new_target(), site.new_target()
    site.deploy(site.order(running, greeter("v1.0.0")))

    with socket.create_server(("127.0.0.1", target.port)):
        order = site.order(target, greeter("v1.0.0"))
        site.step(StepKind.INSTALL, order)
        with pytest.raises(TargetUntouched, match=f"Port {target.port} is taken by another program") as refused:
            site.step(StepKind.START_GREEN, order)

    assert (refused.value.code, refused.value.retry) == ("port-taken", False)
    assert site.read(running)[1] == "1.0.0"


def test_a_port_of_another_lane_is_refused_by_name(site: Site, greeter: Greeter) -> None:
    running = site.new_target()
    site.deploy(site.order(running, greeter("v1.0.0")))
    thief = dataclasses.replace(site.new_target(), port=running.port)

    with pytest.raises(TargetUntouched, match=f"already belongs to {running.lane_key}"):
        site.step(StepKind.START_GREEN, site.order(thief, greeter("v1.0.0")))


@pytest.mark.parametrize(("field", "value"), [("port", 0), ("health_path", "/a b"), ("health_path", "/x\nbind :1")])
def test_a_lane_that_can_not_be_is_refused_before_any_effect(
    site: Site, greeter: Greeter, field: str, value: object
) -> None:
    target = dataclasses.replace(site.new_target(), **{field: value})

    with pytest.raises(TargetUntouched, match="The lane can't be set up") as refused:
        site.step(StepKind.START_GREEN, site.order(target, greeter("v1.0.0")))

    assert not refused.value.retry
    assert site.executor.slots.supervisor.states() == {}


def test_a_release_that_does_not_start_never_gets_traffic(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    site.deploy(site.order(target, greeter("v2.0.0")))
    bad = site.order(target, greeter(make_greeter.BROKEN))
    site.step(StepKind.INSTALL, bad)

    with pytest.raises(ReleaseFailed, match=r"No module named 'greeter\.languages'") as failed:
        site.step(StepKind.START_GREEN, bad)

    assert not failed.value.serving
    assert site.executor.probe(bad).state is Standing.NOT_APPLIED
    site.executor.discard(bad, log=site.lines.append)
    assert len(site.executor.slots.supervisor.states()) == 1
    assert site.read(target)[1] == "2.0.0"


def test_a_release_that_is_not_healthy_is_stopped_before_the_switch(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    bad = site.order(
        target, greeter(make_greeter.UNHEALTHY), configuration=ConfigurationRef(1, {"longest_seconds": -1})
    )
    site.executor.clocks = dataclasses.replace(site.executor.clocks, check=1)
    for kind in (StepKind.INSTALL, StepKind.START_GREEN):
        site.step(kind, bad)

    with pytest.raises(ReleaseFailed, match="did not get healthy"):
        site.step(StepKind.CHECK_GREEN, bad)


def test_a_release_gets_unhealthy_under_traffic(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    order = site.order(
        target, greeter(make_greeter.UNHEALTHY), configuration=ConfigurationRef(1, {"longest_seconds": 600})
    )
    site.deploy(order)
    assert site.executor.sample(target).ok

    for _visit in range(6):
        site.read(target)

    eventually(lambda: not site.executor.sample(target).ok, within_seconds=5)
    assert site.executor.sample(target).status == 503
    assert site.executor.probe(order).healthy is False


def test_errors_and_slow_answers_show_in_the_counters(site: Site, greeter: Greeter) -> None:
    faulty, slow = site.new_target(), site.new_target()
    site.deploy(site.order(faulty, greeter(make_greeter.FAULTY)))
    site.deploy(
        site.order(slow, greeter(make_greeter.SLOW), configuration=ConfigurationRef(1, {"lookup_seconds": 0.2}))
    )

    answers = []
    for _visit in range(6):
        try:
            answers.append(site.read(faulty)[1])
        except OSError:
            answers.append("error")
    for _visit in range(3):
        site.read(slow)

    live = next(row for row in site.executor.traffic(faulty) if row.weight)
    assert answers.count("error") == live.errors == 2
    times = next(row for row in site.executor.traffic(slow) if row.weight).times
    assert times.total == 3
    assert 200 <= times.quantile(0.95) <= 512


def test_rollback_to_a_warm_slot_moves_only_weights_and_asks_nobody(
    site: Site, greeter: Greeter, mirror: Mirror
) -> None:
    target = site.new_target()
    good, bad = site.order(target, greeter("v1.0.0")), site.order(target, greeter("v1.0.1"))
    site.deploy(good)
    site.deploy(bad)
    assert site.executor.readiness(target, good.release, good.configuration).warm
    pids = {state.pid for state in site.executor.slots.supervisor.states().values()}
    asked = mirror.asked

    started = time.monotonic()
    back = site.order(target, good.release, rolls_back=bad.deployment_id)
    results = site.deploy(back)

    assert time.monotonic() - started < 3
    assert site.read(target)[1] == "1.0.0"
    assert [kind for kind, result in results.items() if result.changed] == [StepKind.SWITCH, StepKind.RETIRE_BLUE]
    assert {state.pid for state in site.executor.slots.supervisor.states().values()} < pids
    assert mirror.asked == asked


def test_rollback_to_a_retired_release_starts_it_from_the_store_without_network(site: Site, mirror: Mirror) -> None:
    target = site.new_target(health_path="/")
    good = site.order(target, release("wsgidav", "4.0.1"))
    bad = site.order(target, release("wsgidav", "4.0.2"))
    site.deploy(good)
    switched = site.deploy(bad)[StepKind.SWITCH]
    assert switched.slot
    site.executor.retire(target, switched.slot.other, fence=bad.fence)
    mirror.server.shutdown()

    ready = site.executor.readiness(target, good.release, good.configuration)
    assert (ready.ready, ready.warm) == (True, False)
    site.deploy(site.order(target, good.release, rolls_back=bad.deployment_id))

    assert site.read(target)[1] == "4.0.1"


def test_rollback_of_a_release_that_never_served_changes_no_traffic(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    good, bad = site.order(target, greeter("v2.0.0")), site.order(target, greeter(make_greeter.BROKEN))
    live = site.deploy(good)[StepKind.SWITCH].slot
    site.step(StepKind.INSTALL, bad)
    with pytest.raises(ReleaseFailed):
        site.step(StepKind.START_GREEN, bad)

    back = site.order(target, good.release, rolls_back=bad.deployment_id)
    results = site.deploy(back)

    assert results[StepKind.SWITCH].slot is live
    assert not results[StepKind.SWITCH].changed
    assert site.executor.probe(back).state is Standing.APPLIED
    assert len(site.executor.slots.supervisor.states()) == 1


def test_what_serves_is_never_discarded_or_retired(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    order = site.order(target, greeter("v1.0.0"))
    live = site.deploy(order)[StepKind.SWITCH].slot
    assert live

    with pytest.raises(NotIdle):
        site.executor.discard(order, log=site.lines.append)
    with pytest.raises(NotIdle):
        site.executor.retire(target, live, fence=order.fence)

    assert site.read(target)[1] == "1.0.0"


def test_a_lane_that_is_given_up_leaves_nothing_running_and_frees_its_port(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    order = site.order(target, greeter("v1.0.0"))
    site.deploy(order)

    site.executor.remove(target, fence=order.fence)

    assert site.executor.slots.supervisor.states() == {}
    assert site.executor.probe(order).state is Standing.NOT_APPLIED
    with socket.create_server(("127.0.0.1", target.port)):
        assert not site.executor.slots.proxy.knows(target.lane_key)


def test_cancel_ends_a_waiting_step_within_a_second(site: Site, greeter: Greeter) -> None:
    order = site.order(
        site.new_target(), greeter(make_greeter.UNHEALTHY), configuration=ConfigurationRef(1, {"longest_seconds": -1})
    )
    for kind in (StepKind.INSTALL, StepKind.START_GREEN):
        site.step(kind, order)
    threading.Timer(0.5, site.executor.cancel, [order.deployment_id]).start()

    started = time.monotonic()
    with pytest.raises(Cancelled):
        site.step(StepKind.CHECK_GREEN, order)

    assert time.monotonic() - started < 1.5
    assert site.executor.probe(order).state is Standing.NOT_APPLIED


def test_a_step_at_work_is_seen_as_in_flight_and_not_joined(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    order = site.order(target, greeter("v1.0.0"))

    with site.executor.slots.lane(target).at_work():
        assert site.executor.probe(order).state is Standing.IN_FLIGHT
        with pytest.raises(OutcomeUnknown, match="still at work"):
            site.step(StepKind.VERIFY_ARTIFACT, order)


def test_what_was_deployed_comes_back_with_proxy_and_supervisor(
    site: Site, greeter: Greeter, deployment_target: DeploymentTarget
) -> None:
    target = site.new_target()
    site.deploy(site.order(target, greeter("v1.0.0")))
    site.deploy(site.order(target, greeter("v1.0.1")))

    deployment_target.supervisor.stop()
    deployment_target.proxy.stop()
    assert site.executor.probe(site.order(target, greeter("v1.0.1"))).state is Standing.UNREACHABLE
    again = DeploymentTarget.start()
    deployment_target.supervisor, deployment_target.proxy = again.supervisor, again.proxy

    assert eventually(lambda: site.executor.sample(target).ok)
    assert site.read(target)[1] == "1.0.1"


def test_what_is_dead_is_brought_back(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    order = site.order(target, greeter("v1.0.0"))
    site.step(StepKind.INSTALL, order)
    live = SlotRow(Slot.BLUE, order.deployment_id, order.release, order.configuration)
    row = LaneRow(target, fence=order.fence, live=live)

    corrections = site.executor.reconcile((row,))
    assert [correction.mended for correction in corrections] == [True, True]
    assert eventually(lambda: site.executor.sample(target).ok)
    assert site.executor.reconcile((row,)) == ()
    site.executor.slots.supervisor.remove(f"{target.lane_key}-blue")
    (mended,) = site.executor.reconcile((row,))

    assert (mended.mended, mended.detail) == (True, "blue did not run 1.0.0: started")
    assert eventually(lambda: site.executor.sample(target).ok)


@pytest.mark.parametrize("weights", [(256, 0), (128, 64), (0, 0)], ids=["the other slot", "both", "none"])
def test_traffic_that_was_moved_by_hand_is_flagged_and_left_until_a_person_deploys_again(
    site: Site, greeter: Greeter, weights: tuple[int, int]
) -> None:
    target, proxy = site.new_target(), site.executor.slots.proxy
    site.deploy(site.order(target, greeter("v1.0.0")))
    row = live(site, site.order(target, greeter("v1.0.1")))
    assert row.live
    by_hand = dict(zip((row.live.slot.other.value, row.live.slot.value), weights, strict=True))
    for name, weight in by_hand.items():
        proxy.command(f"set weight {target.lane_key}/{name} {weight}")
    site.executor.slots.supervisor.remove(f"{target.lane_key}-{row.live.slot.value}")

    # What is dead comes back even so, since the traffic may return to it.
    told = [[(each.drifted, each.mended) for each in site.executor.reconcile((row,))] for _look in range(2)]
    left = proxy.weights(target.lane_key)
    again = live(site, site.order(target, greeter("v1.0.1")))

    assert told == [[(False, True), (True, False)], [(True, False)]]
    assert left == by_hand
    assert site.read(target)[1] == "1.0.1"
    assert not any(each.drifted for each in site.executor.reconcile((again,)))


def test_what_somebody_put_into_the_idle_slot_is_flagged_and_outlives_its_time(site: Site, greeter: Greeter) -> None:
    target, supervisor = site.new_target(), site.executor.slots.supervisor
    first = site.order(target, greeter("v1.0.0"))
    site.deploy(first)
    row = live(site, site.order(target, greeter("v1.0.1")))
    assert row.live
    idle = row.live.slot.other
    site.replace_program(target, idle, version="9.9.9")
    program = supervisor.state(f"{target.lane_key}-{idle.value}")

    (told,) = site.executor.reconcile((row,))
    retired = site.executor.retire(target, idle, fence=row.fence)
    ready = site.executor.readiness(target, first.release, first.configuration)

    assert told.drifted
    assert f"{idle.value} answers as 9.9.9, not as 1.0.0" in told.detail
    assert (retired, ready.warm) == (False, False)
    assert supervisor.state(program.name).pid == program.pid


@pytest.mark.parametrize("by", ["probe", "reconcile"])
def test_a_switch_that_was_cut_before_it_was_written_down_outlives_a_reload(
    site: Site, greeter: Greeter, by: str
) -> None:
    target, proxy = site.new_target(), site.executor.slots.proxy
    order = site.order(target, greeter("v1.0.0"))
    for kind in (StepKind.INSTALL, StepKind.START_GREEN, StepKind.CHECK_GREEN):
        site.step(kind, order)
    proxy.command(f"set weight {target.lane_key}/blue 256")

    if by == "probe":
        assert site.executor.probe(order).state is Standing.APPLIED
    else:
        live = SlotRow(Slot.BLUE, order.deployment_id, order.release, order.configuration)
        site.executor.reconcile((LaneRow(target, fence=order.fence, live=live),))
    proxy.reload()

    assert eventually(lambda: site.executor.sample(target).ok)


def test_reconciliation_keeps_its_hands_off_a_lane_with_a_newer_fence(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    order = site.order(target, greeter("v1.0.0"))
    site.deploy(order)

    (correction,) = site.executor.reconcile((LaneRow(target, fence=order.fence - 1, live=None),))

    assert not correction.mended
    assert site.read(target)[1] == "1.0.0"


def test_a_frozen_worker_finds_its_fence_stale_when_it_wakes(site: Site, greeter: Greeter) -> None:
    target = site.new_target()
    frozen = site.order(target, greeter("v1.0.0"))
    for kind in (StepKind.INSTALL, StepKind.START_GREEN, StepKind.CHECK_GREEN):
        site.step(kind, frozen)
    taken_over = dataclasses.replace(frozen, fence=frozen.fence + 1)
    site.step(StepKind.CHECK_GREEN, taken_over)

    with pytest.raises(StaleFence):
        site.step(StepKind.SWITCH, frozen)
    site.step(StepKind.SWITCH, taken_over)

    assert site.read(target)[1] == "1.0.0"


def test_verify_belongs_to_the_engine(site: Site, greeter: Greeter) -> None:
    with pytest.raises(ValueError, match="not a step of the executor"):
        site.step(StepKind.VERIFY, site.order(site.new_target(), greeter("v1.0.0")))


def test_an_unknown_deployment_is_neither_renewed_nor_cancelled(site: Site) -> None:
    site.executor.renew(uuid4(), time.monotonic())
    site.executor.cancel(uuid4())
