"""A legal hold: one person puts it, and it takes two to lift it (`proposals`)."""

from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.compliance import permissions
from apps.compliance.models import LegalHold
from apps.core.texts import one_line
from apps.workspaces.models import Workspace


@transaction.atomic
def put_hold(
    workspace: Workspace,
    *,
    scope: str,
    reason: str,
    by: User,
    now: datetime,
    target_type: str = "",
    target_id: str = "",
    actor_id: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> LegalHold:
    """This function will keep entries from being cut and erased, whatever a policy says, until two people lift it.

    A cut that is removing entries at this moment is waited for: it has ended once the hold stands.
    Shapes: `target_type` and `target_id` of an object, `actor_id` of a person; `since` inclusive, `until` exclusive.
    """
    permissions.may_keep(by, workspace.pk).require()
    values: dict[str, Any] = {
        "scope": scope, "target_type": target_type, "target_id": target_id, "actor_id": actor_id, "since": since,
        "until": until,
    }  # fmt: skip
    hold = LegalHold.objects.create(
        workspace=workspace, put_at=now, put_by=by, reason=one_line(reason, name="The reason", limit=300), **values
    )
    audit.record(
        "legal_hold.put", by=by, target=hold, summary=f"Put a legal hold on {hold.what}", reason=hold.reason,
        after=values,
    )  # fmt: skip
    return hold
