"""The smallest task there is: it says that it has begun. Loaded into the worker of `bench.deploy_latency` alone."""

import redis
from celery import shared_task
from django.conf import settings


@shared_task(name="bench.echo")
def echo(*, id: str) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.lpush(f"echo:{id}", "here")
