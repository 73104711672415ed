"""A worker whose own clock is wrong does everything at the right time: the database's clock decides (ADR 0051)."""

import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from apps.approvals.enums import PromotionState
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.deployments import runner, sweeper
from apps.deployments.engine import claim, reconciliation
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from tests.deployments.file_target import Place

MINUTE = timedelta(minutes=1)
both_ways = pytest.mark.parametrize("minutes", [10, -10])


@contextmanager
def own_clock_off_by(minutes: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let everything in this process that asks for its own time be wrong."""
    right = timezone.now
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: right() + minutes * MINUTE)
        assert abs(timezone.now() - clock.now()) > 9 * MINUTE
        yield


def _work_off() -> None:
    for _ in range(3):
        for due in runner.due_work(unclaimed=runner.AT_ONCE):
            runner.handle(due)


def _freeze(stage, *, starts: timedelta, ends: timedelta) -> None:
    people, now = stage.world.cast, timezone.now()
    with stage.everything():
        environment_actions.freeze(
            scope="ENVIRONMENT", environment=stage.world.dev, workspace_id=people.platform.pk, reason="Incident",
            ends_at=now + ends, by=people.devops, now=now + starts,
        )  # fmt: skip


@both_ways
def test_it_does_not_start_early(stage, monkeypatch, minutes: int) -> None:
    _freeze(stage, starts=-MINUTE, ends=5 * MINUTE)
    promotion = stage.promotion(starts_by_itself=True)

    with own_clock_off_by(minutes, monkeypatch):
        _work_off()

    with stage.everything():
        promotion.refresh_from_db()
        assert promotion.state == PromotionState.PENDING
        assert not Deployment.objects.exists()


@both_ways
def test_it_does_not_start_late(stage, monkeypatch, minutes: int) -> None:
    _freeze(stage, starts=-20 * MINUTE, ends=-5 * MINUTE)
    promotion = stage.promotion(starts_by_itself=True)

    with own_clock_off_by(minutes, monkeypatch):
        _work_off()

    with stage.everything():
        assert Deployment.objects.get(promotion=promotion).state == S.SUCCEEDED


@both_ways
def test_what_waits_does_not_expire_before_its_time(stage, settings, monkeypatch, minutes: int) -> None:
    settings.ENGINE_START_BY = 5 * MINUTE
    deployment = stage.start()

    with own_clock_off_by(minutes, monkeypatch):
        _work_off()

    ended = stage.fresh(deployment)
    assert ended.state == S.SUCCEEDED
    with stage.everything():
        moments = [change.at for change in ended.transitions.order_by("n")]
    assert moments == sorted(moments)
    assert abs(ended.ended_at - clock.now()) < MINUTE


@both_ways
def test_a_living_lease_is_not_taken_over(stage, monkeypatch, minutes: int) -> None:
    deployment = stage.start()
    mine = claim.claim(deployment.workspace_id, deployment.pk)

    with own_clock_off_by(minutes, monkeypatch):
        assert not [due for due in runner.due_work(unclaimed=runner.AT_ONCE) if due.id == mine.pk]
        runner.handle(runner.Due(mine.workspace_id, "LAPSE", mine.pk))
        runner.handle(runner.Due(mine.workspace_id, "RUN", mine.pk))

    now = stage.fresh(mine)
    assert (now.state, now.fence, now.lease_token) == (S.STARTING, mine.fence, mine.lease_token)


@both_ways
def test_what_is_kept_for_instant_rollback_is_kept_for_its_time(stage, settings, monkeypatch, minutes: int) -> None:
    settings.ENGINE_WARM = 5 * MINUTE
    stage.deploy()
    live = stage.deploy("1.1.0")

    with own_clock_off_by(minutes, monkeypatch):
        reconciliation.reconcile_all()

    slots = Place(live.target_key).standings().slots
    assert {line["version"] for line in slots.values()} == {"1.0.0", "1.1.0"}


def test_nobody_is_called_before_it_is_time(stage, settings, monkeypatch) -> None:
    settings.ENGINE_UNKNOWN_ALARM, settings.ENGINE_PROBE_EVERY = 5 * MINUTE, timedelta(0)
    stage.deploy()
    stage.judge.behave(v1_1_0={StepKind.START_GREEN: "bug", "probe": "UNREACHABLE"})
    lost = stage.deploy("1.1.0")

    with own_clock_off_by(10, monkeypatch):
        runner.run(lost.pk)
        runner.call_for_lost()

    with stage.everything():
        assert stage.fresh(lost).probed.endswith("the target is UNREACHABLE")
        assert not AuditEvent.objects.filter(kind="deployment.alarmed").exists()


def test_with_every_hint_lost_nothing_is_late_for_more_than_fifteen_seconds(settings, monkeypatch) -> None:
    """R4, from the values that the product runs with, not from those of the tests."""
    for name in ("ENGINE_UNCLAIMED", "ENGINE_SWEEP"):
        monkeypatch.delenv(f"{name}_SECONDS", raising=False)
    real = runpy.run_path(str(django_settings.BASE_DIR / "eaip" / "settings.py"))
    settings.ENGINE_UNCLAIMED, settings.ENGINE_SWEEP = real["ENGINE_UNCLAIMED"], real["ENGINE_SWEEP"]

    assert sweeper.longest_delay() == timedelta(seconds=9)
