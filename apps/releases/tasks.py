from typing import Any
from uuid import UUID

from celery import shared_task

from apps.releases import runner


@shared_task(name="releases.compare_api")
def compare_api(*, id: str, **_: Any) -> None:
    runner.see_to_comparisons(UUID(id))


@shared_task(name="releases.check_events")
def check_events(**_: Any) -> None:
    runner.see_to_event_checks()
