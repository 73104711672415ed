"""What the file target does for one deployment, with nothing of the engine around it. For `bench.engine` alone."""

from uuid import uuid4

import redis
from celery import shared_task
from django.conf import settings

from apps.deployments.executors.contract import ConfigurationRef, Order, ReleaseRef, StepKind, TargetRef
from tests.deployments.file_target import executor

DONE = "bench:steps"
RELEASE = ReleaseRef("1.0.0", "sha256:" + "0" * 64, {})


@shared_task(name="bench.steps")
def steps(*, id: str) -> None:
    carry_out(id)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.lpush(DONE, id)


def carry_out(lane: str) -> None:
    """Take each step of the plan once; the verification is one look."""
    target = executor()
    order = Order(uuid4(), 1, TargetRef(lane, "service", "dev", 0), RELEASE, ConfigurationRef(1))
    for step in target.plan(order):
        if step.kind == StepKind.VERIFY:
            target.sample(order.target)
        else:
            target.apply(step.kind, order, log=len)
