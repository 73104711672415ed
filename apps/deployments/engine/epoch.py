"""Is it still the same database? One that took over, or was restored, may lack what was committed last (ADR 0053)."""

import logging
from uuid import UUID

from django.db import connection, transaction

from apps.audit.actors import SYSTEM
from apps.core import clock
from apps.core.clock import CLOCK
from apps.deployments import transitions
from apps.deployments.engine import locks
from apps.deployments.enums import ACTIVE, DeploymentState
from apps.deployments.models import DatabaseEpoch, Deployment
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

WHY = "Another database server took over, or a backup was restored: what was committed last may be lost."


def look() -> None:
    """This function will make every active attempt UNKNOWN, once, when the database is another than before.

    Whoever comes second waits for the first and finds it done.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT identity, database_identity() FROM deployments_databaseepoch")
        remembered, real = cursor.fetchone()
    if remembered != real:
        _begin(remembered, real)


@transaction.atomic
def _begin(remembered: str, real: str) -> None:
    if not DatabaseEpoch.objects.filter(identity=remembered).update(identity=real, since=CLOCK):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT raise_fences()")
        cursor.execute("SELECT workspace_id, id FROM active_deployments()")
        active = cursor.fetchall()
    log.warning("the database is %s and was %s: %s attempts are asked about anew", real, remembered, len(active))
    with workspace_scope({workspace_id for workspace_id, _id in active}):
        for _workspace_id, deployment_id in active:
            _lose_sight(deployment_id)


def _lose_sight(deployment_id: UUID) -> None:
    deployment = locks.deployment(deployment_id)
    changes = {"lease_token": None, "lease_until": None, "probe_after": CLOCK}
    if deployment.state == DeploymentState.UNKNOWN:
        Deployment.objects.filter(pk=deployment.pk).update(**changes)
    elif deployment.state in ACTIVE:
        changes["unknown_since"] = CLOCK
        transitions.advance(deployment, DeploymentState.UNKNOWN, by=SYSTEM, now=clock.now(), why=WHY, changes=changes)
