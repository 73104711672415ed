from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.api import runner
from apps.audit.source import Source, coming_from


@shared_task(name="api.build_pushed")
def build_pushed(*, id: str, **_: object) -> None:
    with coming_from(Source(via="task")):
        runner.work_on(UUID(id), now=timezone.now())
