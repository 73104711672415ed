"""Users notice nothing of a deployment."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from apps.deployments.executors.contract import ReleaseRef, StepKind
from tests.executors.conftest import Site

VISITORS = 4


class Visitor(threading.Thread):
    """Asks without a pause, half of them on connections that are kept."""

    def __init__(self, port: int, stop: threading.Event, *, keeps: bool) -> None:
        super().__init__()
        self.port, self.stop, self.keeps = port, stop, keeps
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.stop.wait(0.002):
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                good = answer.status == 200
                self.answers[answer.headers["X-Release"] if good else f"status {answer.status}"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[f"failed: {error!r}"] += 1
                connection.close()
            if not self.keeps:
                connection.close()
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("switches", [6, pytest.param(20, marks=pytest.mark.reliability)])
def test_blue_green_switches_under_load_lose_no_request(
    site: Site, greeter: Callable[[str], ReleaseRef], switches: int
) -> None:
    target = site.new_target()
    releases = [greeter("v1.0.0"), greeter("v1.0.1")]
    site.deploy(site.order(target, releases[0]))
    stop = threading.Event()
    visitors = [Visitor(target.port, stop, keeps=number % 2 == 0) for number in range(VISITORS)]
    for visitor in visitors:
        visitor.start()

    try:
        for number in range(1, switches + 1):
            order = site.order(target, releases[number % 2])
            results = site.deploy(order)
            assert results[StepKind.SWITCH].changed
            assert site.read(target)[1] == order.release.version, "the first answer after the switch is the new release"
    finally:
        stop.set()
        for visitor in visitors:
            visitor.join()

    answers = sum((visitor.answers for visitor in visitors), Counter())
    failed = {what: number for what, number in answers.items() if what not in ("1.0.0", "1.0.1")}
    print(f"{switches} switches, {answers.total()} requests, {sum(failed.values())} failed")
    assert not failed
    assert min(answers["1.0.0"], answers["1.0.1"]) > 100
