"""How long things took: counted in each process, added up in the database, by names that nobody outside can choose."""

import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.api.models import Timing
from apps.api.timings import write
from apps.core.timings import FAMILIES, Tally, Timings, timings
from apps.deployments.executors.contract import StepKind
from tests.audit.test_seal import administrator
from tests.deployments.conftest import Stage, judge, stage

__all__ = ["judge", "stage"]


@pytest.fixture(autouse=True)
def _from_nothing() -> Iterator[None]:
    timings.take()
    yield
    timings.take()


def counted() -> dict[tuple[str, ...], int]:
    return {labels: sum(tally.counts) for (_, labels), tally in timings.take().items()}


def known() -> dict[str, tuple[list[int], float]]:
    return {timing.labels[0]: (timing.counts, timing.seconds) for timing in Timing.objects.all()}


def test_a_time_is_in_the_band_below_whose_edge_it_stays() -> None:
    own, edges = Timings(), FAMILIES["task"].edges
    for seconds in (edges[0], edges[0] + 0.01, edges[-1] + 1):
        own.count("task", "greet", "done", seconds=seconds)
    with pytest.raises(ZeroDivisionError), own.timed("task", "divide"):
        _ = 1 / 0

    taken = own.take()

    assert taken["task", ("greet", "done")].counts == [1, 1, *([0] * (len(edges) - 2)), 1]
    assert taken["task", ("divide", "failed")].counts[0] == 1
    assert own.take() == {}


def test_what_is_put_back_is_added_to_what_came_since() -> None:
    own, bands = Timings(), len(FAMILIES["task"].edges) + 1
    own.count("task", "greet", "done", seconds=1)
    taken = own.take()
    own.count("task", "greet", "done", seconds=2)

    own.put_back(taken)

    assert own.take() == {("task", ("greet", "done")): Tally([0, 0, 1, 1, *([0] * (bands - 4))], 3.0)}


@pytest.mark.django_db(transaction=True)
def test_processes_that_write_at_the_same_time_lose_nothing_and_do_not_wait_for_each_other() -> None:
    tasks = ["a", "b", "c", "d"]

    def work(order: list[str]) -> None:
        for _ in range(15):
            for task in order:
                timings.count("task", task, "done", seconds=1)
            write()
        connection.close()

    threads = [threading.Thread(target=work, args=(order,)) for order in (tasks, tasks[::-1]) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    write()

    assert {task: (sum(counts), seconds) for task, (counts, seconds) in known().items()} == dict.fromkeys(
        tasks, (60, 60)
    )


@pytest.mark.django_db(transaction=True)
def test_what_the_database_does_not_take_is_kept(engines, database) -> None:
    timings.count("task", "greet", "done", seconds=1)
    with administrator(engines, database) as connected:
        connected.execute("REVOKE INSERT ON api_timing FROM eaip_app")
        write()
        connected.execute("GRANT INSERT ON api_timing TO eaip_app")
    timings.count("task", "greet", "done", seconds=1)
    write()

    assert sum(known()["greet"][0]) == 2


@pytest.mark.django_db
def test_requests_are_named_by_their_route_alone() -> None:
    client = Client(raise_request_exception=False)
    client.get(reverse("accounts:sign-in"), {"next": "/secret/"})
    client.get("/nothing/here/")
    client.generic("TAKE", "/nothing/there/")

    assert counted() == {
        ("accounts:sign-in", "GET", "2xx"): 1, ("none", "GET", "4xx"): 1, ("none", "OTHER", "4xx"): 1,
    }  # fmt: skip


def test_steps_of_a_deployment_are_counted_with_their_verdict(stage: Stage) -> None:
    stage.judge.behave(v1_1_0={StepKind.START_GREEN: "fail"})
    stage.deploy()
    stage.deploy("1.1.0")

    told = counted()

    assert told["verify", "done"] >= 1
    assert told["start_green", "failed"] == 1
