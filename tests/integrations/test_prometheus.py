"""One number from the real Prometheus, or the reason why there is none."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from apps.integrations import prometheus
from apps.integrations.prometheus import BadQuery, NoAnswer, Reading
from deploy.launcher import ports
from tests.monitoring import Metered, serving
from tests.monitoring import prometheus as started
from tests.processes import eventually
from tests.world import HOSTILE


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real Prometheus, reading a program with 20 requests a second, 2 of them failing, all within 100 ms."""
    directory: Path = tmp_path_factory.mktemp("prometheus")
    with Metered(lambda: (20, 2, 0.08)).running() as port, started(directory, scrape=port) as address:
        yield address


def test_it_returns_what_is_measured(url: str) -> None:
    ratio = 'sum(rate(http_requests_total{code="500"}[5s])) / sum(rate(http_requests_total[5s]))'
    p95 = "1000 * histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5s])))"
    eventually(lambda: prometheus.ask(url, ratio).value)

    assert prometheus.ask(url, ratio).value == pytest.approx(0.1)
    assert 50 < prometheus.ask(url, p95).value <= 100


@pytest.mark.parametrize(
    ("query", "reading"),
    [
        ("vector(3)", Reading(3.0)),
        ("4", Reading(4.0)),
        ("nothing_like_this", Reading(None, "no series")),
        ("vector(0) / vector(0)", Reading(None, "not a number")),
        ("vector(1) / vector(0)", Reading(None, "not a number")),
    ],
)
def test_what_is_no_number_is_no_data(url: str, query: str, reading: Reading) -> None:
    assert prometheus.ask(url, query) == reading


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sum(", "refuses the query"),
        ("http_request_duration_seconds_bucket", "add sum"),
        ("up[5s]", "a matrix, not one number"),
        ('"text"', "a string, not one number"),
    ],
)
def test_a_query_that_somebody_has_to_mend_is_told_apart(url: str, query: str, words: str) -> None:
    eventually(lambda: prometheus.ask(url, "sum(http_request_duration_seconds_bucket)").value is not None)

    with pytest.raises(BadQuery, match=words):
        prometheus.ask(url, query)


@pytest.mark.parametrize("text", [*HOSTILE, 'a"} or vector(1) or {x="', "\\", "two\nlines", "\\n"])
def test_a_value_of_a_label_stays_a_value(url: str, text: str) -> None:
    assert prometheus.ask(url, f'count(up{{job="{prometheus.quoted(text)}"}})') == Reading(None, "no series")


class Answering(BaseHTTPRequestHandler):
    """What Prometheus answers when it is not well; recorded from its documentation."""

    answers: dict[str, tuple[int, bytes]] = {}

    def do_POST(self) -> None:
        status, body = self.answers[self.path.split("/")[1]]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def _row(**more: Any) -> bytes:
    result = [{"metric": {}, "value": [1, "7"]}]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}} | more).encode()


def test_what_came_with_a_warning_is_no_data() -> None:
    Answering.answers = {"warned": (200, _row(warnings=["remote read failed"]))}

    with serving(Answering) as port:
        found = prometheus.ask(f"http://127.0.0.1:{port}/warned", "up")

    assert found == Reading(None, "incomplete: remote read failed")


@pytest.mark.parametrize(
    "answer",
    [
        (503, b'{"status": "error", "errorType": "timeout", "error": "query timed out"}'),
        (200, b'{"status": "error", "error": "odd"}'),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"status": "success", "data": {"resultType": "vector", "result": [{}]}}'),
        (200, b'{"status": "success"}'),
        (200, b" " * (prometheus.BODY_LIMIT + 1)),
        (302, b""),
    ],
)
def test_who_does_not_answer_as_prometheus_gives_no_answer(answer: tuple[int, bytes]) -> None:
    Answering.answers = {"odd": answer}

    with serving(Answering) as port, pytest.raises(NoAnswer):
        prometheus.ask(f"http://127.0.0.1:{port}/odd", "up")


def test_nobody_is_waited_for_and_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "PATIENCE_SECONDS", 0.3)
    over = threading.Event()

    class Silent(Answering):
        def do_POST(self) -> None:
            over.wait(10)

    with serving(Silent) as port:
        addresses = [f"http://me:secret@127.0.0.1:{number}" for number in (port, ports.free_ports(1)[0])]
        for address in addresses:
            with pytest.raises(NoAnswer) as refused:
                prometheus.ask(address, "up")
            assert "secret" not in str(refused.value)
        over.set()
