"""R6: all workers gone for a while, then one comes and catches up.

`EAIP_TEST_AWAY_SECONDS` says for how long: the requirement's ten minutes are 600, the default is a minute.
The figures are printed; their limits are those of the requirement, held against the real clocks.
"""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.utils import timezone

from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from tests.deployments.many_lanes import REAL_CLOCKS, ManyLanes
from tests.processes import eventually, start_worker

AWAY_SECONDS = float(os.environ.get("EAIP_TEST_AWAY_SECONDS", "60" if REAL_CLOCKS else "8"))
CATCH_UP_SECONDS = 30


@pytest.mark.reliability
def test_what_became_due_while_no_worker_lived_is_caught_up_with_once(stage, redis_url, say, tmp_path: Path) -> None:
    """Five whose worker died, ten that nobody took, five that a freeze lets start meanwhile; every hint is lost."""
    many = ManyLanes.make(stage, 20)
    running, asked, waiting = (ManyLanes(stage, many.environments[a:b]) for a, b in ((0, 5), (5, 15), (15, 20)))
    with start_worker(tmp_path, concurrency=8, name="first") as first:
        died = running.start_held("1.1.0", StepKind.SWITCH, because=lambda: first.output)
        first.kill()
    stage.judge.let_go(StepKind.SWITCH)
    away_since, until = time.monotonic(), timezone.now() + timedelta(seconds=AWAY_SECONDS / 2)
    for environment in waiting.environments:
        with stage.everything():
            environment_actions.freeze(
                scope="ENVIRONMENT", environment=environment, workspace_id=environment.workspace_id, reason="Incident",
                ends_at=until, by=stage.world.cast.devops, now=timezone.now(),
            )  # fmt: skip
    release = stage.release("1.2.0")
    queued = [stage.start(release, environment) for environment in asked.environments]
    promotions = [stage.promotion(release, environment, starts_by_itself=True) for environment in waiting.environments]
    with redis.Redis.from_url(redis_url) as broker:
        broker.flushdb()
    time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - away_since)))
    assert {each.state for each in many.fresh(queued)} == {S.QUEUED}

    last = max(each.fence for each in many.fresh(died))
    with start_worker(tmp_path, concurrency=8, name="second") as second:
        came = time.monotonic()

        def frozen() -> list[Deployment]:
            with stage.everything():
                return list(Deployment.objects.filter(promotion__in=promotions))

        def all_begun() -> bool:
            begun = [each for each in many.fresh(died + queued) + frozen() if each.state not in (S.QUEUED, S.UNKNOWN)]
            return len(begun) == len(many.environments) and all(each.fence > last for each in many.fresh(died))

        eventually(all_begun, within_seconds=180, because=second.output)
        caught_up = time.monotonic() - came
        many.until_all_ended(died + queued + frozen(), because=lambda: second.output)
        ended = time.monotonic() - came
        time.sleep(1)

    assert len(frozen()) == len(promotions), "each was started once"
    many.require_each_done_once(died + queued + frozen())
    say(
        f"R6: no worker for {AWAY_SECONDS:g} s; then one took all 20 within {caught_up:.1f} s of its start and they had"
        f" ended after {ended:.1f} s; 0 lost, 0 doubled"
    )
    if REAL_CLOCKS:
        assert caught_up <= CATCH_UP_SECONDS
