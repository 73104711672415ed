"""The scope of a transaction: the workspaces whose rows the database shows and takes in it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction

from apps.accounts.models import User


def enter_scope(workspaces: Iterable[UUID], *, actor: UUID | None) -> None:
    """Set the scope for the rest of the open transaction, and who acts in it (for the history of fields)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('app.workspaces', %s, true), set_config('app.actor', %s, true)",
            [",".join(str(workspace) for workspace in workspaces), str(actor or "")],
        )


@contextmanager
def workspace_scope(workspaces: Iterable[UUID]) -> Iterator[None]:
    """Open a transaction that sees these workspaces only; an inner one narrows and then restores the outer."""
    with transaction.atomic():
        before = _set(",".join(str(workspace) for workspace in workspaces))
        yield
        _set(before)


def _set(value: str) -> str:
    # set_config(..., true) ends with the transaction, so nothing leaks through a pooled connection.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('app.workspaces', true), set_config('app.workspaces', %s, true)", [value]
        )
        return cursor.fetchone()[0] or ""


def workspaces_of(user: User | AnonymousUser) -> tuple[UUID, ...]:
    """Return the ids of the workspaces where the person holds a role, sorted. Asks past the scope, for ids only."""
    if not user.is_authenticated:
        return ()
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id FROM workspaces_of(%s) AS workspace_id ORDER BY 1", [user.pk])
        return tuple(row[0] for row in cursor.fetchall())
