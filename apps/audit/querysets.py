import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError, connection, models, transaction
from django.db.models import F, Func, Q, Value

from apps.core.keyset import Cursor, Page, cursor_at, page_of_found, read_cursor

# What a row of the list does not show, and what makes it wide.
UNSEEN_IN_A_LIST = ("canonical", "change", "approval", "causation", "source", "actor", "target", "schema_version")
COLUMNS_OF_TERMS = (
    "workspace_id", "kind", "outcome", "actor_id", "actor_label", "target_type", "target_id", "target_label",
    "environment_id", "service_id", "request_id", "summary", "reason", "target", "recorded_at",
)  # fmt: skip
FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
ID = re.compile(r"\s*[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\s*")


@dataclass(frozen=True)
class FoundPage(Page[Any]):
    """A page of a search, which may have ended before the ledger did.

    `reached` is how far it looked then: everything from that moment on, or, where it `goes_newer`, before it. The
    page's cursors go on from there, so that nothing is skipped. `took` is how long it looked.
    """

    reached: datetime | None = None
    goes_newer: bool = False
    took: timedelta = timedelta(0)


class WorkspaceRows(models.QuerySet):
    """Rows that carry a workspace's id alone: the ledger refers to nothing."""

    def visible_in(self, workspaces: tuple[UUID, ...]) -> Self:
        return self.filter(workspace_id__in=workspaces)


class EventQuerySet(WorkspaceRows):
    def newest_first(self) -> Self:
        return self.order_by("-recorded_at", "-event_id")

    def about(self, target_type: str, target_id: str) -> Self:
        """Return one object's whole history."""
        return self.filter(target_type=target_type, target_id=target_id)

    def matching(
        self,
        *,
        q: str = "",
        actor: str = "",
        kind: str = "",
        outcome: str = "",
        workspace: str = "",
        environment: str = "",
        service: str = "",
        release: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        object: tuple[str, str] | None = None,
    ) -> Self:
        """Return the events that meet every criterion given: the same as `found_page`, all of them and in no hurry.

        `q` and `actor` are words, whole, in any case and order, or beginnings with a `*`; an id is one. `kind` is a
        kind or its noun alone; `since` is inclusive, `until` exclusive; `object` is (type, id).
        """
        found = self.about(*object) if object else self
        if q:
            found = found.filter(_said("", q))
            # Cheap, and necessary: most rows are out before the words of one are parted.
            for word in [] if ID.fullmatch(q) else re.findall(r"[A-Za-z0-9]+", q):
                found = found.filter(
                    Q(summary__icontains=word) | Q(target_label__icontains=word) | Q(reason__icontains=word)
                )
        if actor:
            found = found.filter(Q(_said("a=", actor)) | Q(actor_id=actor))
        if kind:
            found = found.filter(kind=kind) if "." in kind else found.filter(kind__startswith=f"{kind}.")
        if release:
            columns = ("target_type", "target_label", "summary", "target")
            of_release = Func(*columns, function="audit_release", output_field=models.TextField())
            found = found.alias(release=of_release).filter(release=release)
        exact = {"outcome": outcome, "workspace_id": workspace, "environment_id": environment, "service_id": service}
        found = found.filter(**{name: value for name, value in exact.items() if value})
        if since:
            found = found.filter(recorded_at__gte=since)
        return found.filter(recorded_at__lt=until) if until else found

    def found_page(
        self, criteria: Mapping[str, Any], workspaces: tuple[UUID, ...], query: Mapping[str, str], *, size: int = 50,
        look: int = 1000, patience: timedelta | None = None,
    ) -> FoundPage:  # fmt: skip
        """Return one page of the events in these workspaces that match, newest first, however large the ledger is.

        Shapes: `criteria` are those of `matching`; `query` holds the cursors, as for `page_of`. The database function
        finds ids alone; the rows are read under the policy. It looks at the newest `look` entries before it turns to
        the index, and ends about when its patience does: then the page is a short one, or empty, and says so.
        """
        after, before = (read_cursor(query.get(name, ""), self.model, "recorded_at") for name in ("after", "before"))
        # Where a search goes on that ended early, looking one by one has been in vain before.
        beyond = after or before
        look = 0 if beyond and beyond[1] == FIRST_ID else look
        began = time.monotonic()
        found, reached = _found(
            criteria, workspaces, beyond, newer=bool(after), wanted=size + 1, look=look, patience=patience
        )
        took = timedelta(seconds=time.monotonic() - began)
        rows: dict[UUID, Any] = {}
        if found:
            moments = [moment for _, moment in found]
            events = self.visible_in(workspaces).filter(
                event_id__in=[key for key, _ in found], recorded_at__range=(min(moments), max(moments))
            )
            rows = events.defer(*UNSEEN_IN_A_LIST).in_bulk()
        read = [rows[key] for key, _ in found if key in rows]
        page = page_of_found(read, "recorded_at", after=after, before=before, size=size)
        newer, older = page.newer, page.older
        if after:
            older = older or cursor_at(*after)
            if reached:
                newer = cursor_at(reached, FIRST_ID)
        else:
            newer = newer or (cursor_at(*before) if before else None)
            if reached:
                older = cursor_at(reached, FIRST_ID)
        return FoundPage(page.rows, newer, older, reached, goes_newer=bool(after), took=took)

    def estimated(
        self, criteria: Mapping[str, Any], workspaces: tuple[UUID, ...], *, patience: timedelta | None = None
    ) -> int:
        """Return about how many events match, from the database's statistics alone: of a sample of months, where
        patience ends first."""
        text, scope, since, until = _asked(criteria, workspaces)
        arguments: list[Any] = [scope, text, since, until, patience]
        with connection.cursor() as cursor:
            cursor.execute("SELECT estimate_events(%s, %s, %s, %s, %s)", arguments)
            estimate: int = cursor.fetchone()[0]
        return estimate

    def counted(self, *, within_seconds: int) -> int | None:
        """Return how many there are, row by row; None, if that takes longer."""
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{within_seconds}s"])
                number = self.count()
                cursor.execute("SELECT set_config('statement_timeout', '0', true)")
                return number
        except OperationalError:
            return None


class SavedFilterQuerySet(WorkspaceRows):
    def offered_to(self, person_id: UUID) -> Self:
        """Return a person's own, and what others share."""
        return self.filter(Q(owner_id=person_id) | Q(is_shared=True))

    def locked(self) -> Self:
        return self.select_for_update(of=("self",), no_key=True)


def _said(prefix: str, words: str) -> Func:
    terms = Func(*(F(name) for name in COLUMNS_OF_TERMS), function="audit_terms")
    return Func(terms, Value(prefix), Value(words), function="audit_matches", output_field=models.BooleanField())


def _asked(
    criteria: Mapping[str, Any], workspaces: tuple[UUID, ...]
) -> tuple[str, list[UUID], datetime | None, datetime | None]:
    rest = dict(criteria)
    since, until, workspace = (rest.pop(name, None) for name in ("since", "until", "workspace"))
    scope = [key for key in workspaces if not workspace or str(key) == str(workspace)]
    return json.dumps(rest, cls=DjangoJSONEncoder), scope, since, until


def _found(
    criteria: Mapping[str, Any], workspaces: tuple[UUID, ...], beyond: Cursor | None, *, newer: bool, wanted: int,
    look: int, patience: timedelta | None,
) -> tuple[list[tuple[UUID, datetime]], datetime | None]:  # fmt: skip
    """Return what was found, and how far the search came if it did not come to the end."""
    text, scope, since, until = _asked(criteria, workspaces)
    moment, key = beyond or (None, None)
    arguments: list[Any] = [scope, text, since, until, moment, key, newer, wanted, look, patience]
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, moment FROM search_events(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", arguments)
        found = list(cursor.fetchall())
    reached = found.pop()[1] if found and found[-1][0] is None else None
    return found, reached
