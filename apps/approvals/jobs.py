"""What the sweeper of every worker sees to beside settling: asked past the scope, done in one workspace at a time."""

import logging
from collections.abc import Callable
from uuid import UUID

from django.db import connection
from django.utils import timezone

from apps.approvals import actions, hotfixes, runner
from apps.audit.source import Source, coming_from
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)


def see_to_approvals() -> None:
    """This function will end the delegations of people who have left, mail what was not mailed, and ask repositories
    about hotfixes.
    """
    _in_each("SELECT workspace_id FROM delegations_void()", _void_delegations)
    runner.mail_due()
    _in_each("SELECT workspace_id FROM hotfixes_due()", _look_at_hotfixes)


def _in_each(due: str, work: Callable[[UUID], None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(due)
        found = [row[0] for row in cursor.fetchall()]
    for workspace_id in found:
        try:
            with coming_from(Source(via="task")):
                work(workspace_id)
        except Exception:
            log.exception("%s of %s can't be seen to; it is looked at again", work.__name__, workspace_id)


def _void_delegations(workspace_id: UUID) -> None:
    with workspace_scope([workspace_id]):
        actions.void_delegations(workspace_id=workspace_id, now=timezone.now())


def _look_at_hotfixes(workspace_id: UUID) -> None:
    hotfixes.look_at_hotfixes(workspace_id, now=timezone.now())
