"""What the sweeper of every worker sees to: owners of environments are told of data that are overdue or expired."""

import logging
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.db.models import Max
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from apps.accounts.enums import Capability
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.source import coming_from, task_source
from apps.environments.data_rules import KEPT_FOR, REFRESHED, REFRESHED_WITHIN, DataState, data_state
from apps.environments.models import DataRefresh, Environment
from apps.workspaces import rights
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

# Until a mail that was not taken, or whose worker died, is tried again.
PAUSE = timedelta(hours=1)


def remind_of_data() -> None:
    """This function will mail who manages an environment whose data became overdue, and again once they expire."""
    with connection.cursor() as cursor:
        limits: list[Any] = [[tier.value for tier in REFRESHED], REFRESHED_WITHIN, KEPT_FOR]
        cursor.execute("SELECT workspace_id, environment_id FROM data_untold(%s, %s, %s)", limits)
        due = cursor.fetchall()
    for workspace_id, environment_id in due:
        with workspace_scope([workspace_id]):
            claimed = _claim(environment_id, now=timezone.now())
        if claimed is not None:
            _tell(*claimed)


def _claim(environment_id: UUID, *, now: datetime) -> tuple[Environment, DataState] | None:
    """Take the next try of it, so that whoever comes meanwhile leaves it alone."""
    environment = Environment.objects.locked().select_related("workspace").get(pk=environment_id)
    newest = DataRefresh.objects.filter(environment=environment).aggregate(at=Max("refreshed_at"))["at"]
    state = data_state(environment.tier, created_at=environment.created_at, refreshed_at=newest, now=now)
    since, told, pause = state and state.at_fault_since, environment.data_told_for, environment.data_mail_after
    if environment.destroyed_at or not state or not since or (told and told >= since) or (pause and pause > now):
        return None
    Environment.objects.filter(pk=environment.pk).update(data_mail_after=now + PAUSE)
    return environment, state


def _tell(environment: Environment, state: DataState) -> None:
    with workspace_scope([environment.workspace_id]):
        owners = rights.capable(Capability.ENVIRONMENT_MANAGE, environment.workspace_id)
    to = [owner.email for owner in owners if owner.email and owner.is_active]
    page = reverse("environments:data-list", args=[environment.workspace.slug, environment.slug])
    told = {"environment": environment, "state": state, "address": settings.PORTAL_URL + page}
    word = state.word.lower()
    try:
        if to:
            body = render_to_string("emails/data.txt", told)
            EmailMessage(f"Data of {environment} are {word}", body, to=to).send()
    except (SMTPException, OSError, ValueError) as error:
        log.warning("the owners of environment %s can't be mailed: %s", environment.pk, error)
        return
    with coming_from(task_source()), workspace_scope([environment.workspace_id]):
        Environment.objects.locked().get(pk=environment.pk)
        Environment.objects.filter(pk=environment.pk).update(data_mail_after=None, data_told_for=state.at_fault_since)
        names = ", ".join(map(str, owners)) or "nobody, since nobody may manage it now,"
        audit.record(
            "data.reminded",
            by=SYSTEM,
            target=environment,
            environment_id=environment.pk,
            summary=f"Told {names} that the data of {environment} are {word}",
            after={"mailed": len(to), "since": state.at_fault_since},
            people=owners,
        )
