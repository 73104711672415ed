"""Who could do what at a moment, from the history that the database keeps of the rows that say so (ADR 0107)."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Min
from django.utils.dateparse import parse_datetime

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.compliance.enums import Way
from apps.compliance.models import AccessChange, IdentityChange
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.models import Environment
from apps.releases.models import Service
from apps.workspaces.models import Workspace
from apps.workspaces.rights import GRANTS, SCOPES

AS_OF = """
SELECT source, row::text FROM (
    SELECT DISTINCT ON (source, row_key) source, row FROM {table}
    WHERE at <= %s {scope} ORDER BY source, row_key, at DESC, id DESC
) newest WHERE row IS NOT NULL
"""
GRANT_TABLES = {
    "workspaces_workspaceuserpermission": "workspace", "workspaces_workspacegrouppermission": "workspace",
    "environments_environmentuserpermission": "environment", "environments_environmentgrouppermission": "environment",
    "releases_serviceuserpermission": "service", "releases_servicegrouppermission": "service",
}  # fmt: skip
Row = Mapping[str, Any]
COLUMNS = ("workspace", "who", "account", "way", "what", "place", "capabilities", "since", "until", "given_by")


@dataclass(frozen=True)
class Access:
    """That somebody could do something somewhere. `place` is one environment or service; empty: the whole workspace."""

    who: str
    account: str
    person_id: str
    workspace_id: UUID
    workspace: str
    way: Way
    what: str
    place: str = ""
    place_id: str = ""
    capabilities: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    given_by: str = ""

    @property
    def key(self) -> str:
        """What the row is sorted by and known by: two of the same key are one."""
        return "\x1f".join(
            (self.who.lower(), self.person_id, self.workspace, self.way.value, self.what, self.place, self.given_by)
        )

    @property
    def capability_labels(self) -> list[str]:
        return [Capability(name).label for name in self.capabilities if name in Capability.values]

    def as_row(self) -> dict[str, Any]:
        """Return the row as it is exported."""
        return {
            "workspace": self.workspace, "who": self.who, "account": self.account, "way": self.way.label,
            "what": self.what, "place": self.place, "capabilities": " ".join(self.capabilities),
            "since": _text(self.since), "until": _text(self.until), "given_by": self.given_by,
        }  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """The rows of some workspaces as they were at a moment, by table."""

    rows: Mapping[str, Sequence[Row]]

    def of(self, table: str) -> Sequence[Row]:
        return self.rows.get(table, ())


@dataclass(frozen=True)
class Names:
    """What things are called now: the history keeps ids, so that an account can be given back without its name."""

    people: Mapping[str, tuple[str, str]]
    workspaces: Mapping[str, str]
    places: Mapping[str, str]
    permissions: Mapping[int, str]

    def person(self, key: str | None) -> str:
        return self.people.get(key or "", (key or "", ""))[0]


def known_since() -> datetime | None:
    """This function will return from when on every change is kept; before, rows tell only what they say of themselves.

    Shapes: None where nothing was there to begin with.
    """
    found: datetime | None = IdentityChange.objects.filter(is_baseline=True).aggregate(at=Min("at"))["at"]
    return found


def access_at(at: datetime, workspaces: Collection[UUID]) -> list[Access]:
    """This function will return who could do what in these workspaces at a moment, sorted by `key`, each once.

    Shapes: before `known_since`, the rows as they were then, as far as they were in force by their own dates.
    Queries: eight at most, however many there are.
    """
    since = known_since()
    snapshot = _snapshot(max(at, since) if since else at, workspaces)
    found = {row.key: row for row in held(snapshot, _names(snapshot, workspaces), at=at)}
    return [found[key] for key in sorted(found)]


def held(snapshot: Snapshot, names: Names, *, at: datetime) -> Iterable[Access]:
    """This function will work out from rows of that moment who could do what. Pure."""
    open_accounts = {row["id"] for row in snapshot.of("accounts_user") if row["is_active"]}
    roles = {row["code"]: row for row in snapshot.of("accounts_role")}
    standing = {
        row["id"]: row
        for row in snapshot.of("workspaces_membership")
        if _lasts(row, "granted_at", "ended_at", at) and row["user_id"] in open_accounts
    }
    for row in standing.values():
        role = roles[row["role_id"]]
        yield _of(
            row, names, person=row["user_id"], way=Way.ROLE, what=role["label"], since=_moment(row["granted_at"]),
            capabilities=tuple(sorted(role["capabilities"])), given_by=names.person(row["granted_by_id"]),
        )  # fmt: skip
    yield from _loans(snapshot, names, standing, open_accounts, at)
    yield from _grants(snapshot, names, open_accounts)
    yield from _tokens(snapshot, names, at)
    yield from _superusers(snapshot, names)


def _loans(
    snapshot: Snapshot, names: Names, standing: Mapping[str, Row], open_accounts: Collection[str], at: datetime
) -> Iterable[Access]:
    labels = {row["code"]: row["label"] for row in snapshot.of("accounts_role")}
    members = {(row["user_id"], row["workspace_id"]) for row in standing.values()}
    for row in snapshot.of("approvals_delegation"):
        lent = standing.get(row["membership_id"])
        is_member = (row["delegate_id"], row["workspace_id"]) in members and row["delegate_id"] in open_accounts
        if lent is None or not is_member or not _lasts(row, "begins_at", "ends_at", at):
            continue
        if not _lasts(row, "begins_at", "ended_at", at):
            continue
        yield _of(
            row, names, person=row["delegate_id"], way=Way.LOAN, what=labels[lent["role_id"]],
            capabilities=(Capability.PROMOTION_DECIDE.value,), since=_moment(row["begins_at"]),
            until=_moment(row["ends_at"]), given_by=names.person(lent["user_id"]),
        )  # fmt: skip


def _grants(snapshot: Snapshot, names: Names, open_accounts: Collection[str]) -> Iterable[Access]:
    members: dict[int, list[str]] = defaultdict(list)
    for row in snapshot.of("accounts_user_groups"):
        members[row["group_id"]].append(row["user_id"])
    for table, noun in GRANT_TABLES.items():
        for row in snapshot.of(table):
            codename = names.permissions.get(row["permission_id"], str(row["permission_id"]))
            people = members[row["group_id"]] if "group_id" in row else [row["user_id"]]
            for person in people:
                if person in open_accounts:
                    place = "" if noun == "workspace" else row["content_object_id"]
                    yield _of(
                        row, names, person=person, way=Way.GRANT, place_id=place, what=codename,
                        place=names.places.get(place, place), capabilities=tuple(sorted(GRANTS.get(codename, ()))),
                        given_by="a group" if "group_id" in row else "",
                    )  # fmt: skip


def _tokens(snapshot: Snapshot, names: Names, at: datetime) -> Iterable[Access]:
    for row in snapshot.of("workspaces_apitoken"):
        if _lasts(row, "created_at", "expires_at", at) and _lasts(row, "created_at", "revoked_at", at):
            yield Access(
                who=row["name"], account=row["prefix"], person_id=row["id"], workspace_id=UUID(row["workspace_id"]),
                workspace=names.workspaces.get(row["workspace_id"], ""), way=Way.TOKEN, what=", ".join(row["scopes"]),
                capabilities=tuple(sorted(SCOPES[scope].value for scope in row["scopes"] if scope in SCOPES)),
                since=_moment(row["created_at"]), until=_moment(row["expires_at"]),
                given_by=names.person(row["created_by_id"]),
            )  # fmt: skip


def _superusers(snapshot: Snapshot, names: Names) -> Iterable[Access]:
    """They have no right in the portal by that; an auditor asks all the same. They stand under the platform."""
    for row in snapshot.of("accounts_user"):
        if row["is_superuser"] and row["is_active"] and str(PLATFORM_WORKSPACE_ID) in names.workspaces:
            owner = {"workspace_id": str(PLATFORM_WORKSPACE_ID)}
            yield _of(owner, names, person=row["id"], way=Way.SUPERUSER, what="Superuser, which gives no right here")


def _of(row: Row, names: Names, *, person: str, way: Way, what: str, **more: Any) -> Access:
    who, account = names.people.get(person, (person, ""))
    workspace = row["workspace_id"]
    return Access(
        who=who, account=account, person_id=person, workspace_id=UUID(workspace),
        workspace=names.workspaces.get(workspace, ""), way=way, what=what, **more,
    )  # fmt: skip


def _lasts(row: Row, begins: str, ends: str, at: datetime) -> bool:
    end = _moment(row[ends])
    begin = _moment(row[begins])
    return begin is not None and begin <= at and (end is None or at < end)


def _moment(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _snapshot(at: datetime, workspaces: Collection[UUID]) -> Snapshot:
    found: dict[str, list[Row]] = defaultdict(list)
    of_all = AS_OF.format(table=IdentityChange._meta.db_table, scope="")
    of_workspaces = AS_OF.format(table=AccessChange._meta.db_table, scope="AND workspace_id = ANY (%s)")
    with connection.cursor() as cursor:
        for statement, values in ((of_all, (at,)), (of_workspaces, (at, list(workspaces)))):
            cursor.execute(statement, values)
            for source, row in cursor.fetchall():
                found[source].append(json.loads(row))
    return Snapshot(found)


def _names(snapshot: Snapshot, workspaces: Collection[UUID]) -> Names:
    people = User.objects.values_list("pk", "display_name", "username")
    places: dict[str, str] = {}
    for model, noun in ((Environment, "environment"), (Service, "service")):
        of_noun = [table for table, what in GRANT_TABLES.items() if what == noun]
        if keys := {row["content_object_id"] for table in of_noun for row in snapshot.of(table)}:
            named = model.objects.filter(pk__in=keys).values_list("pk", "name")
            places |= {str(pk): name for pk, name in named}
    owners = Workspace.objects.visible_in(tuple(workspaces))
    return Names(
        people={str(pk): (display or username, username) for pk, display, username in people},
        workspaces={str(pk): name for pk, name in owners.values_list("pk", "name")},
        places=places,
        permissions=dict(Permission.objects.filter(codename__in=GRANTS).values_list("pk", "codename")),
    )


@dataclass(frozen=True)
class Move:
    """What became otherwise for one person or program between two moments."""

    who: str
    account: str
    workspace: str
    lost: tuple[str, ...]
    gained: tuple[str, ...]
    word: str
    tone: str

    @property
    def key(self) -> str:
        return f"{self.who.lower()}\x1f{self.account}\x1f{self.workspace}"


def moves(before: Iterable[Access], after: Iterable[Access]) -> list[Move]:
    """This function will say who came, who went and whose access changed, in each workspace, sorted by `key`. Pure."""
    sides: tuple[dict[tuple[str, str], list[Access]], ...] = (defaultdict(list), defaultdict(list))
    for side, rows in zip(sides, (before, after), strict=True):
        for row in rows:
            side[row.person_id, row.workspace].append(row)
    found = []
    for key in {**sides[0], **sides[1]}:
        was, now = (side.get(key, []) for side in sides)
        had, has = ({_in_words(row) for row in rows} for rows in (was, now))
        if had != has:
            word, tone = ("Joined", "ok") if not was else ("Left", "idle") if not now else ("Changed", "warn")
            one = (now or was)[0]
            lost, gained = tuple(sorted(had - has)), tuple(sorted(has - had))
            found.append(Move(one.who, one.account, one.workspace, lost, gained, word, tone))
    return sorted(found, key=lambda move: move.key)


def _in_words(row: Access) -> str:
    place = f" in {row.place}" if row.place else ""
    # What a role gives is a part of it: a role that gives more than before is a change for who holds it.
    return f"{row.way.label}: {row.what}{place} ({' '.join(row.capabilities) or 'nothing'})"
