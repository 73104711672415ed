"""What the sweeper of every worker sees to beside settling: asked past the scope, done in one workspace at a time."""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from uuid import UUID

from django.db import connection
from django.utils import timezone

from apps.approvals import actions, hotfixes, runner
from apps.audit.source import coming_from, task_source
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)


def see_to_approvals() -> None:
    """This function will end the delegations of people who have left, tick owed lines whose gates have come to let
    pass, mail what was not mailed, and ask repositories about hotfixes.
    """
    _in_each("SELECT workspace_id FROM delegations_void()", _scoped(actions.void_delegations))
    _in_each("SELECT workspace_id FROM checklists_unjudged()", _scoped(actions.tick_owed))
    runner.mail_due()
    _in_each("SELECT workspace_id FROM hotfixes_due()", hotfixes.look_at_hotfixes)


def _in_each(due: str, see_to: Callable[..., object]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(due)
        found = [row[0] for row in cursor.fetchall()]
    for workspace_id in found:
        try:
            with coming_from(task_source()):
                see_to(workspace_id=workspace_id, now=timezone.now())
        except Exception:
            log.exception("%s can't be done in %s; it is tried again", see_to.__name__, workspace_id)


def _scoped(work: Callable[..., object]) -> Callable[..., object]:
    @wraps(work)
    def see_to(*, workspace_id: UUID, now: datetime) -> object:
        with workspace_scope([workspace_id]):
            return work(workspace_id=workspace_id, now=now)

    return see_to
