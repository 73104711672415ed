from typing import Any

from celery import shared_task

from apps.approvals import runner


@shared_task(name="approvals.mail")
def mail(**_: Any) -> None:
    runner.mail_due()
