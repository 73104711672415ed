"""The hints that Celery carries. A task may come late, twice or never: each asks the database what is due."""

from typing import Any
from uuid import UUID

from celery import shared_task

from apps.deployments import runner


@shared_task(name="deployments.run")
def run(*, id: str, **_: Any) -> None:
    runner.run(UUID(id))


@shared_task(name="deployments.start_ready")
def start_ready(*, id: str, **_: Any) -> None:
    runner.start_ready(UUID(id))


@shared_task(name="deployments.cancel")
def cancel(*, id: str, **_: Any) -> None:
    runner.cancel(UUID(id))


@shared_task(name="deployments.roll_out")
def roll_out(*, id: str, **_: Any) -> None:
    runner.roll_out(UUID(id))
