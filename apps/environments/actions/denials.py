"""What clusters are told to refuse stands in the trail once an hour for each object (ADR 0095)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core.canonical import sha256_of
from apps.environments.models import AdmissionDenial, Environment

HOUR = timedelta(hours=1)


@transaction.atomic
def tell_denial(
    environment: Environment | None,
    *,
    workspace_id: UUID,
    cluster: str,
    namespace: str,
    subject: str,
    images: Sequence[str],
    asked_by: str,
    reason: str,
    by: Actor,
    now: datetime,
) -> bool:
    """This function will write down that a cluster was told to refuse an object, and say whether that was news.

    Shapes: `subject` is the object's kind and name; `asked_by` is who wanted it there, in the cluster's own words.
    """
    key = sha256_of([cluster, namespace, subject, sorted(images)])
    denial, is_new = AdmissionDenial.objects.get_or_create(
        workspace_id=workspace_id, key=key, defaults={"told_at": now}
    )
    lapsed = AdmissionDenial.objects.filter(pk=denial.pk, told_at__lte=now - HOUR)
    if not is_new and not lapsed.update(told_at=now):
        return False
    audit.record(
        "admission.denied",
        by=by,
        target=environment,
        workspace_id=workspace_id,
        environment_id=environment.pk if environment else None,
        summary=f"Kept {subject} out of {cluster}/{namespace}",
        reason=reason,
        outcome="REFUSED",
        target_details={"cluster": cluster, "namespace": namespace, "object": subject, "asked_by": asked_by},
    )
    return True


def prune_denials() -> int:
    """This function will forget the refusals of all workspaces that may be told of anew; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT prune_denials(make_interval(secs => %s))", [HOUR.total_seconds()])
        return int(cursor.fetchone()[0])
