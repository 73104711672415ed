"""The log: complete, numbered, with its colours and without secrets."""

import base64

from django.db import connection, connections

from apps.deployments import log as deployment_log
from apps.deployments import log_window
from apps.deployments.log import LogWriter, read_lines
from apps.deployments.masking import MASK
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
    assert text.count(MASK) == 3
    assert "s3cr3t" not in text
    assert text.endswith("Hello")


def test_a_secret_is_masked_in_lines_that_are_stored_apart(stage) -> None:
    log, deployment = _writer(stage, DB_PASSWORD="correct-horse")

    for text in ("is corr", "ect-ho\nrse.", "That was it."):
        log.write(text)
        log.flush()

    assert [text for _number, text in _lines(stage, deployment)] == [f"is {MASK}", MASK, f"{MASK}.", "That was it."]


def test_secrets_of_the_version_before_are_masked_too(stage) -> None:
    stage.deploy()
    deployment = stage.start(stage.release("1.1.0"))
    with stage.everything():
        deployment.from_configuration.values = {"API_TOKEN": "the-old-one"}
    log = LogWriter(deployment, deployment.fence)

    log.write("still the-old-one")
    log.flush()

    assert _lines(stage, deployment) == [(1, f"still {MASK}")]


def test_much_text_is_stored_as_it_comes(stage, monkeypatch) -> None:
    monkeypatch.setattr(deployment_log, "FLUSH_SECONDS", 3600)
    log, deployment = _writer(stage)

    for _ in range(90):
        log.write("x" * 6000)

    with stage.everything():
        assert LogChunk.objects.filter(deployment=deployment).count() == 2


def test_the_first_line_after_a_silence_is_stored_at_once(stage, monkeypatch) -> None:
    monkeypatch.setattr(deployment_log, "FLUSH_SECONDS", 0)
    log, deployment = _writer(stage)

    log.write("one")

    assert _lines(stage, deployment) == [(1, "one")]


def test_many_lines_in_one_go_are_parted_into_chunks_of_a_step(stage) -> None:
    log, deployment = _writer(stage)

    log.write("\n".join(str(number) for number in range(1, 2501)))
    log.step = 1
    log.write("2501")
    log.flush()

    assert _lines(stage, deployment) == [(number, str(number)) for number in range(1, 2502)]
    with stage.everything():
        chunks = LogChunk.objects.filter(deployment=deployment).order_by("seq")
        assert [(chunk.first_line, chunk.line_count, chunk.step_seq) for chunk in chunks] == [
            (1, 1000, 0), (1001, 1000, 0), (2001, 500, 0), (2501, 1, 1),
        ]  # fmt: skip


def test_a_line_that_is_too_long_goes_on_in_the_next(stage) -> None:
    log, deployment = _writer(stage)

    log.write("x" * 4090 + "\x1b[38;5;196m" + "y" * 4090)
    log.flush()

    assert [text for _number, text in _lines(stage, deployment)] == ["x" * 4090, "\x1b[38;5;196m" + "y" * 4085, "yyyyy"]


def test_at_its_limit_the_log_says_so_and_its_last_lines_are_kept(stage, monkeypatch) -> None:
    monkeypatch.setattr(deployment_log, "LIMIT_BYTES", 1000)
    log, deployment = _writer(stage)

    for number in range(1, 400):
        log.write(f"{number:03}" + "y" * 96)
    log.flush()
    log.write("and the verdict")
    log.flush()

    texts = [text for _number, text in _lines(stage, deployment)]
    assert [text[:3] for text in texts[:10]] == [f"{number:03}" for number in range(1, 11)]
    assert texts[10] == deployment_log.CUT
    assert "189 lines are left out here" in texts[11]
    assert [text[:3] for text in texts[12:-1]] == [str(number) for number in range(200, 400)]
    assert texts[-1] == "and the verdict"

    resumed = LogWriter(stage.fresh(deployment), deployment.fence)
    resumed.write("taken over")
    resumed.flush()

    assert [text for _number, text in _lines(stage, deployment)] == [*texts, "taken over"]


def test_lines_wait_for_the_database(stage) -> None:
    log, deployment = _writer(stage, DB_PASSWORD="correct-horse")
    log.write("before the loss")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (ours,) = cursor.fetchone()
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [ours])
    other.close()

    log.write("a correct-horse")
    log.flush()
    log.flush()

    assert _lines(stage, deployment) == [(1, "before the loss"), (2, f"a {MASK}")]


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
