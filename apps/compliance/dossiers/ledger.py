"""The entries of the ledger that prove the lines of a dossier, and the trees that hold them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from apps.audit.models import AuditEvent, Checkpoint
from apps.audit.querysets import EventQuerySet
from apps.compliance.dossiers.document import Dossier, Entry, Seal, Section, moment
from apps.workspaces.models import Workspace

# What names the thing that an event about a promotion is of (`approval` of the event).
NAMED = ("decision", "waiver", "tick")
# A dossier tells of changes, not of those who ask about them.
NOT_CITED = ("dossier.made",)
UNREAD = ("canonical", "change", "target", "causation", "reason", "schema_version")


class Ledger:
    """Entries about some objects, oldest first, read before anything is cited from them."""

    def __init__(self, events: Iterable[AuditEvent]) -> None:
        self.events = sorted(events, key=lambda event: (event.recorded_at, event.pk))
        self._about: dict[tuple[str, str], list[AuditEvent]] = defaultdict(list)
        self._of: dict[str, list[AuditEvent]] = defaultdict(list)
        for event in self.events:
            self._about[event.target_type, event.target_id].append(event)
            for name in NAMED:
                if thing := event.approval.get(name):
                    self._of[str(thing)].append(event)

    def about(self, kind: str, key: object, *kinds: str) -> list[AuditEvent]:
        """This function will return the entries about one object, of these kinds where any are named."""
        found = self._about.get((kind, str(key)), [])
        return [event for event in found if not kinds or event.kind in kinds]

    def of(self, key: object) -> list[AuditEvent]:
        """This function will return the entries that name a decision, a waiver or a tick."""
        return self._of.get(str(key), [])


def ids(events: Iterable[AuditEvent]) -> tuple[str, ...]:
    return tuple(str(event.pk) for event in events)


def first_and_last(events: Sequence[AuditEvent]) -> tuple[str, ...]:
    return ids(dict.fromkeys((*events[:1], *events[-1:])))


def read(
    workspaces: tuple[UUID, ...], targets: Mapping[str, Collection[object]], *, kinds: Collection[str] = ()
) -> Ledger:
    """This function will read the entries about these objects in one query. Shapes: ids by type of target."""
    wanted = Q(pk__in=())
    for name, keys in targets.items():
        if keys:
            wanted |= Q(target_type=name, target_id__in=[str(key) for key in keys])
    events: EventQuerySet = AuditEvent.objects.visible_in(workspaces)
    events = events.filter(wanted).exclude(kind__in=NOT_CITED)
    return Ledger((events.filter(kind__in=kinds) if kinds else events).defer(*UNREAD))


def finished(
    subject: Mapping[str, Any], title: str, sections: Iterable[Section], ledger: Ledger, *,
    workspaces: tuple[UUID, ...],
) -> Dossier:  # fmt: skip
    """This function will number the entries that are cited, and say under which trees they stand (three queries)."""
    told = tuple(sections)
    cited = {key for section in told for key in section.cited()}
    events = [event for event in ledger.events if str(event.pk) in cited]
    seals = _seals({event.workspace_id for event in events} or set(workspaces[:1]))
    leaves = _leaves(events, seals)
    entries = tuple(
        Entry(
            id=str(event.pk), workspace_id=str(event.workspace_id), at=moment(event.recorded_at), kind=event.kind,
            actor=event.actor_label, summary=event.summary, leaf=leaves.get(event.pk),
        )
        for event in events
    )  # fmt: skip
    return Dossier(subject, title, told, entries, seals)


def how_proved(event: AuditEvent | None) -> str:
    """This function will say how whoever did something had proved who they are."""
    if event is None:
        return "No entry of the ledger tells."
    actor, source = event.actor, event.source
    said = []
    if method := actor.get("method"):
        said.append(f"signed in with {str(method).replace('_', ' ').replace('+', ' and ')}")
    if at := actor.get("authenticated_at"):
        said.append(f"at {_short(at)}")
    if session := actor.get("session"):
        said.append(f"session {session}")
    if token := actor.get("token"):
        said.append(f"token {token}")
    if confirmed := actor.get("confirmed_with"):
        at = f" at {_short(actor['confirmed_at'])}" if actor.get("confirmed_at") else ""
        said.append(f"confirmed with {str(confirmed).replace('_', ' ').lower()}{at}")
    if via := source.get("via"):
        said.append(f"by {via}")
    if address := source.get("ip"):
        said.append(f"from {address}")
    return ", ".join(said) or "The entry does not tell."


def _short(value: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(value)):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return str(value)


def _leaves(events: Sequence[AuditEvent], seals: Sequence[Seal]) -> dict[UUID, int]:
    """Return the places of those that these trees hold."""
    statement = """
        SELECT event_id, leaf_index FROM unnest(%s::uuid[], %s::bigint[]) AS tree (workspace_id, size)
        JOIN audit_leaf USING (workspace_id) WHERE event_id = ANY (%s) AND leaf_index < size
    """
    trees = [UUID(seal.workspace_id) for seal in seals], [seal.tree_size for seal in seals]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*trees, [event.pk for event in events]])
        return dict(cursor.fetchall())


def _seals(workspaces: Collection[UUID]) -> tuple[Seal, ...]:
    names = dict(Workspace.objects.filter(pk__in=workspaces).values_list("pk", "name"))
    newest = Checkpoint.objects.filter(workspace_id__in=workspaces)
    newest = newest.order_by("workspace_id", "-tree_size", "-signed_at", "-id").distinct("workspace_id")
    return tuple(
        Seal(
            workspace_id=str(each.workspace_id), workspace=names.get(each.workspace_id, ""), tree_size=each.tree_size,
            root=each.root, signed_at=moment(each.signed_at), key=each.key_id, note=each.note,
        )
        for each in newest
    )  # fmt: skip
