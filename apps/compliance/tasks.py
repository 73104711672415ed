"""The hints that Celery carries. A task may come late, twice or never: each asks the database what is due."""

from typing import Any
from uuid import UUID

from celery import shared_task

from apps.compliance.exports import run


@shared_task(name="compliance.write_export")
def write_export(*, id: str, **_: Any) -> None:
    run.see_to_exports(UUID(id))
