from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import live
from apps.core.texts import many_lines, one_line
from apps.core.verdict import Conflict, Invalid
from apps.environments.models import Environment
from apps.incidents import permissions
from apps.incidents.enums import EntryKind, IncidentState, Severity
from apps.incidents.models import Call, Entry, Incident
from apps.incidents.transitions import IncidentOver, advance
from apps.releases.models import Service
from apps.workspaces.models import Workspace

TEXT = 2000


class Attempt(NamedTuple):
    """A deployment, as much of it as an incident knows. `label` names it for people."""

    pk: UUID
    workspace_id: UUID
    label: str


class IncidentInvalid(Invalid):
    code = "incident_invalid"


class LinkedAlready(Conflict):
    code = "linked_already"


class NothingRefused(Conflict):
    code = "nothing_refused"


@transaction.atomic
def declare(
    workspace: Workspace,
    *,
    title: str,
    severity: str,
    environment: Environment | None = None,
    service: Service | None = None,
    what: str = "",
    attempt: Attempt | None = None,
    by: User,
    now: datetime,
) -> Incident:
    """This function will open an incident; what is known of it begins its timeline, with the deployment that hurt.

    Raises IncidentInvalid: environment or deployment are not of the workspace, or there is no such severity.
    """
    permissions.may_declare(by, workspace).require()
    if environment is not None and environment.workspace_id != workspace.pk:
        raise IncidentInvalid(f"{environment} is not an environment of {workspace}.")
    incident = Incident.objects.create(
        workspace=workspace,
        title=one_line(title, name="The title", limit=200),
        severity=_severity(severity),
        environment=environment,
        service=service,
        declared_at=now,
        declared_by=by,
    )
    incident.refresh_from_db(fields=["number"])
    text = many_lines(what, name="What is known", limit=TEXT)
    write(incident, EntryKind.DECLARED, text, by=by, now=now)
    after = {"title": incident.title, "severity": severity}
    if workspace.slug in settings.PAGERDUTY:
        Call.objects.create(workspace=workspace, incident=incident)
    record(incident, "incident.declared", f"Declared incident {incident}: {incident.title}", by=by, after=after)
    if attempt is not None:  # after the declaration, also where lines are sorted by their moment
        _link(incident, attempt, by=by, now=now + timedelta(microseconds=1))
    return incident


@transaction.atomic
def add_note(incident: Incident, *, text: str, by: User, now: datetime) -> Entry:
    """This function will add what a person writes to the timeline, also when the incident is resolved."""
    incident = _locked(incident)
    permissions.may_add(by, incident).require()
    note = write(incident, EntryKind.NOTE, _required(text, "The note"), by=by, now=now)
    record(incident, "incident.noted", f"Added a note to incident {incident}", by=by, reason=note.text[:300],
           after={"entry": str(note.pk)})  # fmt: skip
    return note


@transaction.atomic
def link_deployment(incident: Incident, attempt: Attempt, *, by: User, now: datetime) -> Entry:
    """This function will put a deployment on the timeline, also when the incident is resolved.

    Raises LinkedAlready: it stands there. IncidentInvalid: it is not of the incident's workspace.
    """
    incident = _locked(incident)
    permissions.may_add(by, incident).require()
    if Entry.objects.filter(incident=incident, deployment_id=attempt.pk).exists():
        raise LinkedAlready(f"{attempt.label} is on the timeline of incident {incident} already.")
    return _link(incident, attempt, by=by, now=now)


@transaction.atomic
def change_severity(incident: Incident, *, severity: str, by: User, now: datetime) -> Incident:
    """This function will say that an open incident is worse, or less bad, than was thought.

    Raises IncidentOver: it is resolved. IncidentInvalid: it has that severity, or there is none such.
    """
    incident = _locked(incident)
    permissions.may_declare(by, incident.workspace).require()
    if not incident.is_open:
        raise IncidentOver(f"Incident {incident} is resolved, so its severity stays.")
    before = incident.severity
    if _severity(severity) == before:
        raise IncidentInvalid(f"Incident {incident} is {before} already. Choose another severity.")
    incident.severity = severity
    incident.save(update_fields=["severity"])
    write(incident, EntryKind.SEVERITY, f"{before} to {severity}", by=by, now=now)
    did = f"Changed incident {incident} from {before} to {severity}"
    record(incident, "incident.severity_changed", did, by=by, before={"severity": before}, after={"severity": severity})
    return incident


@transaction.atomic
def resolve(incident: Incident, *, resolution: str, by: User, now: datetime) -> Incident:
    """This function will end an incident with what ended it. Raises IncidentOver: it is resolved already."""
    incident = _locked(incident)
    permissions.may_declare(by, incident.workspace).require()
    text = _required(resolution, "What resolved it")
    kind = advance(incident, IncidentState.RESOLVED, resolved_at=now, resolved_by=by, resolution=text)
    write(incident, EntryKind.RESOLVED, text, by=by, now=now)
    record(incident, kind, f"Resolved incident {incident}: {incident.title}", by=by, reason=text[:300],
            before={"state": IncidentState.OPEN}, after={"state": incident.state})  # fmt: skip
    return incident


@transaction.atomic
def call_again(incident: Incident, *, by: User) -> Incident:
    """This function will have the on-call service told again what it refused, once somebody has mended why.

    Raises NothingRefused: it refused nothing, or somebody was quicker.
    """
    incident = _locked(incident)
    permissions.may_declare(by, incident.workspace).require()
    call = Call.objects.locked().filter(incident=incident).first()
    if call is None or not Call.objects.filter(pk=call.pk, refused__gt=0).update(refused=0):
        raise NothingRefused(f"Nothing about incident {incident} is refused: what is left is told by itself.")
    did = f"Had PagerDuty told again of incident {incident}"
    record(incident, "incident.call_repeated", did, by=by, before={"refused": call.refused}, after={"refused": 0})
    return incident


def _locked(incident: Incident) -> Incident:
    return Incident.objects.locked().select_related("workspace").get(pk=incident.pk)


def _severity(word: str) -> str:
    if word not in Severity.values:
        raise IncidentInvalid(f"There is no severity {word!r}: it is one of {', '.join(Severity.values)}.")
    return word


def _required(text: str, name: str) -> str:
    return many_lines(text, name=name, limit=TEXT, required=True)


def write(incident: Incident, kind: EntryKind, text: str, *, by: User | Actor, now: datetime, **more: Any) -> Entry:
    """This function will add a line to the timeline of an incident; its event is the caller's."""
    label = actor_of(by).label[:150]
    return Entry.objects.create(
        workspace_id=incident.workspace_id, incident=incident, kind=kind, at=now, by_label=label, text=text, **more
    )


def _link(incident: Incident, attempt: Attempt, *, by: User, now: datetime) -> Entry:
    if attempt.workspace_id != incident.workspace_id:
        raise IncidentInvalid(f"{attempt.label} is not a deployment of {incident.workspace}.")
    entry = write(incident, EntryKind.DEPLOYMENT, attempt.label, by=by, now=now, deployment_id=attempt.pk)
    did = f"Linked {attempt.label} to incident {incident}"
    record(incident, "incident.deployment_linked", did, by=by, after={"deployment": attempt.label})
    return entry


def record(
    incident: Incident, kind: str, did: str, *, by: User | Actor, **more: Mapping[str, Any] | str | None
) -> None:
    """This function will write an event about an incident, and let the pages that show it do so anew."""
    audit.record(
        kind,
        by=by,
        target=incident,
        environment_id=incident.environment_id,
        service_id=incident.service_id,
        summary=did,
        **more,  # type: ignore[arg-type]
    )
    places = (f"environment:{incident.environment_id}",) if incident.environment_id else ()
    live.hint(incident.workspace_id, f"incident:{incident.pk}", *places)
