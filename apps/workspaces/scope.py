"""The scope of a transaction: the workspaces whose rows the database shows and takes in it.

A process that stands still in the middle of one (a frozen machine, a lost network) loses it after TRANSACTION_SILENCE,
and with it the locks that everybody else waits for.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction

from apps.accounts.models import User


def enter_scope(workspaces: Iterable[UUID], *, actor: UUID | None) -> None:
    """Set the scope for the rest of the open transaction, and who acts in it (for the history of fields)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('app.workspaces', %s, true), set_config('app.actor', %s, true), "
            "set_config('idle_in_transaction_session_timeout', %s, true)",
            [",".join(str(workspace) for workspace in workspaces), str(actor or ""), _silence()],
        )


@contextmanager
def workspace_scope(workspaces: Iterable[UUID]) -> Iterator[None]:
    """Open a transaction that sees these workspaces only; an inner one narrows and then restores the outer."""
    is_inner = connection.in_atomic_block
    with transaction.atomic():
        before = _set(",".join(str(workspace) for workspace in workspaces))
        yield
        if is_inner:  # the outermost ends with its transaction
            _set(before)


@contextmanager
def whole_scope() -> Iterator[None]:
    """Open a transaction that sees all workspaces: for what measures the installation, never for a person."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT every_workspace()")
            workspaces = [row[0] for row in cursor.fetchall()]
        with workspace_scope(workspaces):
            yield


def _set(value: str) -> str:
    # set_config(..., true) ends with the transaction, so nothing leaks through a pooled connection.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('app.workspaces', true), set_config('app.workspaces', %s, true), "
            "set_config('idle_in_transaction_session_timeout', %s, true)",
            [value, _silence()],
        )
        return cursor.fetchone()[0] or ""


def _silence() -> str:
    return f"{settings.TRANSACTION_SILENCE.total_seconds() * 1000:.0f}"


def workspaces_of(user: User | AnonymousUser) -> tuple[UUID, ...]:
    """Return the ids of the workspaces where the person holds a role, sorted. Asks past the scope, for ids only."""
    if not user.is_authenticated:
        return ()
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id FROM workspaces_of(%s) AS workspace_id ORDER BY 1", [user.pk])
        return tuple(row[0] for row in cursor.fetchall())
