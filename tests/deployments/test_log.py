"""The log: complete, numbered, with its colours and without secrets."""

import base64

from apps.deployments import log as deployment_log
from apps.deployments import log_window
from apps.deployments.log import LogWriter, read_lines
from apps.deployments.models import LogChunk


def _writer(stage, **values: str) -> tuple[LogWriter, object]:
    deployment = stage.start()
    deployment.configuration.values = values
    return LogWriter(deployment, deployment.fence), deployment


def _lines(stage, deployment, first: int = 1, last: int = 10_000) -> list[tuple[int, str]]:
    with stage.everything():
        return [(line.number, line.text) for line in read_lines(deployment, first, last)]


def test_lines_keep_their_number_and_their_colours(stage) -> None:
    log, deployment = _writer(stage)

    log.write("\x1b[31mred\x1b[0m")
    log.write("two\nthree")
    log.flush()

    assert _lines(stage, deployment) == [(1, "\x1b[31mred\x1b[0m"), (2, "two"), (3, "three")]


def test_any_part_of_it_can_be_read(stage) -> None:
    log, deployment = _writer(stage)
    for number in range(1, 31):
        log.write(f"line {number}")
        if number % 7 == 0:
            log.flush()
    log.flush()

    assert _lines(stage, deployment, 6, 9) == [(n, f"line {n}") for n in (6, 7, 8, 9)]
    assert _lines(stage, deployment, 30, 99) == [(30, "line 30")]
    assert _lines(stage, deployment, 31, 99) == []


def test_lines_belong_to_the_step_that_wrote_them(stage) -> None:
    log, deployment = _writer(stage)

    for step in (1, 2):
        log.step = step
        log.write(f"first of step {step}\nsecond of step {step}")
    log.flush()

    assert [number for number, _text in _lines(stage, deployment)] == [1, 2, 3, 4]
    with stage.everything():
        assert [log_window.step_of(deployment, number) for number in range(1, 6)] == [1, 1, 2, 2, None]


def test_secrets_are_masked_before_they_are_stored(stage) -> None:
    secret = "s3cr3t/with space"
    log, deployment = _writer(stage, DB_PASSWORD=secret, GREETING="Hello")

    log.write(f"password is {secret}, or {base64.b64encode(secret.encode()).decode()}, or s3cr3t%2Fwith%20space. Hello")
    log.flush()

    ((_number, text),) = _lines(stage, deployment)
    assert text.count(deployment_log.MASK) == 3
    assert "s3cr3t" not in text
    assert text.endswith("Hello")


def test_much_text_is_stored_as_it_comes(stage) -> None:
    log, deployment = _writer(stage)

    for _ in range(100):
        log.write("x" * 100)

    with stage.everything():
        assert LogChunk.objects.filter(deployment=deployment).count() >= 2


def test_it_has_an_end_and_says_so(stage, monkeypatch) -> None:
    monkeypatch.setattr(deployment_log, "LIMIT_BYTES", 1000)
    log, deployment = _writer(stage)

    for _ in range(50):
        log.write("y" * 99)
    log.flush()

    lines = _lines(stage, deployment)
    assert len(lines) == 10
    assert lines[-1][1] == deployment_log.CUT


def test_what_the_database_can_not_hold_is_shown_as_such(stage) -> None:
    log, deployment = _writer(stage)

    log.write("a\x00b")
    log.flush()

    assert _lines(stage, deployment) == [(1, "a\ufffdb")]


def test_the_log_of_a_deployment_names_its_steps(stage) -> None:
    deployment = stage.deploy()

    texts = [text for _number, text in _lines(stage, deployment)]
    assert any("Start_green" in text for text in texts)
    assert any("1.0.0 serves, verified after" in text for text in texts)
