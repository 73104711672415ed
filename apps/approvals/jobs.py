"""What the sweeper of every worker sees to beside settling: asked past the scope, done in one workspace at a time."""

import logging

from django.db import connection
from django.utils import timezone

from apps.approvals import actions, runner
from apps.audit.source import Source, coming_from
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)


def see_to_approvals() -> None:
    """This function will end the delegations of people who have left, and mail what was not mailed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id FROM delegations_void()")
        found = [row[0] for row in cursor.fetchall()]
    for workspace_id in found:
        try:
            with coming_from(Source(via="task")), workspace_scope([workspace_id]):
                actions.void_delegations(workspace_id=workspace_id, now=timezone.now())
        except Exception:
            log.exception("delegations of %s can't be ended; they are looked at again", workspace_id)
    runner.mail_due()
