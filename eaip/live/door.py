"""Who may watch what: asked in a thread of the desk, in short transactions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.db import connection, transaction

from apps.core import live
from apps.workspaces.scope import workspace_scope, workspaces_of

_sessions = import_module(settings.SESSION_ENGINE)


@dataclass(frozen=True)
class Refused:
    """Why there is no stream, as a status and a sentence."""

    status: int
    sentence: str


@dataclass(frozen=True)
class Admission:
    """A page that somebody may watch. `owed` names the regions that may have changed since the page's cursor."""

    viewer: live.Viewer
    page: live.LivePage
    ask: live.Ask
    cursor: live.Cursor
    owed: frozenset[str]


def session_key(cookies: str) -> str:
    try:
        morsel = SimpleCookie(cookies).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def viewer_of(key: str) -> live.Viewer | None:
    """Return who is signed in with this session now."""
    if not key:
        return None
    with transaction.atomic():
        holder: Any = SimpleNamespace(session=_sessions.SessionStore(key))
        user = get_user(holder)
        return live.Viewer(user.pk, workspaces_of(user)) if user.is_authenticated else None


def admit(
    key: str, *, name: str, subject: str, query: Mapping[str, str], since: str, now: datetime
) -> Admission | Refused:
    """Return the page that the holder of this session may watch, or why not."""
    viewer = viewer_of(key)
    if viewer is None:
        return Refused(401, "Sign in to watch this page.")
    page = live.pages.get(name)
    workspaces = _narrowed(viewer.workspaces, query.get("ws", ""))
    if page is None or workspaces is None:
        return Refused(404, "There is nothing to watch at this address.")
    ask = live.Ask(workspaces, subject, query, now)
    with workspace_scope(workspaces):
        if not page.may_watch(ask):
            return Refused(404, "There is nothing to watch at this address.")
        here = live.cursor_now()
        cursor = live.read_cursor(since)
        owed = _owed(page, ask, cursor)
        return Admission(viewer, page, ask, cursor or here, owed)


def _narrowed(workspaces: tuple[UUID, ...], wanted: str) -> tuple[UUID, ...] | None:
    if not wanted:
        return workspaces
    return next(((each,) for each in workspaces if str(each) == wanted), None)


def _owed(page: live.LivePage, ask: live.Ask, cursor: live.Cursor | None) -> frozenset[str]:
    if cursor is None or _moved_since(cursor):
        return frozenset(region.name for region in (*page.regions, *live.frame))
    return frozenset(
        region.name
        for region in page.regions
        if region.name in cursor.marks or (region.is_moving is not None and region.is_moving(ask))
    )


def _moved_since(cursor: live.Cursor) -> bool:
    """Say whether an event of these workspaces was committed after the cursor, or this is another database."""
    with connection.cursor() as sql:
        sql.execute(
            """
            SELECT (SELECT system_identifier::text FROM pg_control_system()) <> %s
                OR EXISTS (SELECT FROM audit_event WHERE xid >= pg_snapshot_xmin(%s::pg_snapshot)
                           AND NOT pg_visible_in_snapshot(xid, %s::pg_snapshot))
            """,
            [cursor.epoch, cursor.snapshot, cursor.snapshot],
        )
        return bool(sql.fetchone()[0])
