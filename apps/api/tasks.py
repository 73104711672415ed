from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.api import runner
from apps.audit.source import coming_from, task_source


@shared_task(name="api.build_pushed")
def build_pushed(*, id: str, **_: object) -> None:
    with coming_from(task_source(push_id=id)):
        runner.work_on(UUID(id), now=timezone.now())
