"""The judges of the crash tests object when something is wrong: the engine and the record are broken on purpose."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.deployments.engine import resolve, verification
from apps.deployments.executors.contract import Observation, Order, Slot, Standing, StepResult
from tests.deployments.conftest import Stage
from tests.deployments.file_target import FileTarget, Standings
from tests.deployments.test_crashes import test_a_killed_worker_leaves_a_deployment_that_ends_well as crash
from tests.plugin import engines
from tests.soak.judgement import Judgement

Line = dict[str, Any]


def _believes(standing: Standing) -> Callable[..., Observation]:
    return lambda _attempt: Observation(standing, "nobody asked", live_slot=Slot.GREEN)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that does again what it is told again, as a service without idempotency keys would."""
    remembers = FileTarget._slot_of

    def slot_of(self: FileTarget, order: Order, found: Standings) -> str | None:
        slot = remembers(self, order, found)
        found.live = None if found.live == slot else found.live
        return slot

    monkeypatch.setattr(FileTarget, "_slot_of", slot_of)


@pytest.mark.reliability
def test_an_engine_that_does_not_ask_the_target_is_caught(
    stage: Stage, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    monkeypatch.setattr(resolve, "probe", _believes(Standing.NOT_APPLIED))

    with pytest.raises(AssertionError, match="switch more than once"):
        crash(stage, redis_url, tmp_path, "after_effect:SWITCH")


@pytest.mark.reliability
def test_a_target_that_forgets_is_told_once_by_an_engine_that_asks(
    stage: Stage, redis_url: str, tmp_path: Path, forgetful: None
) -> None:
    crash(stage, redis_url, tmp_path, "after_effect:SWITCH")


@pytest.mark.reliability
def test_an_engine_that_takes_the_effect_for_granted_is_caught(
    stage: Stage, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "probe", _believes(Standing.APPLIED))
    monkeypatch.setattr(verification, "verify", lambda _attempt: StepResult("well", changed=False))

    with pytest.raises(AssertionError, match=r"'1\.0\.0'"):
        crash(stage, redis_url, tmp_path, "after_intent:SWITCH")


def test_the_judge_of_random_kills_and_of_the_soak_finds_what_is_wrong_in_the_record(
    stage: Stage, database: str, tmp_path: Path
) -> None:
    lane = stage.lane()
    stage.deploy()
    ledger = tmp_path / "target" / lane.target_key / "ledger.jsonl"
    good = [json.loads(line) for line in ledger.read_text().splitlines()]
    (switch,) = [line for line in good if line["effect"] == "switch"]

    def found(lines: list[Line]) -> list[str]:
        ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
        judgement = Judgement(engines().postgres.url(database=database), tmp_path / "target")
        judgement.finish()
        return sorted(words.rpartition(":")[0] for words in judgement.violations)

    serves_nothing = f"{lane.target_key} says 1.0.0, None serves"
    assert found(good) == []
    assert found([*good, switch]) == ["switch more than once"]
    assert found([*good, {**switch, "effect": "keep", "fence": 0}]) == ["I2 fence 0 after 1"]
    assert found([*good, {**switch, "effect": "keep", "pid": 1}]) == ["I1 two owners of fence 1"]
    assert found([line for line in good if line is not switch]) == ["a success without its effect", serves_nothing]
    assert found([*good, {**switch, "effect": "stop"}]) == [serves_nothing]
    assert found([{**line, "version": "0.9.0"} for line in good]) == [f"{lane.target_key} says 1.0.0, 0.9.0 serves"]
    stage.start(stage.release("1.1.0"))
    assert found(good) == ["still open"]
