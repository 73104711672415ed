from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.enums import Capability
from apps.api.alerts import Unreadable, alerts_of, read_alert
from apps.api.bodies import field
from apps.api.models import IdempotentRequest
from apps.api.people import person_of
from apps.api.problems import (
    FieldInvalid,
    KeyReused,
    UnknownEnvironment,
    UnknownEvent,
    UnknownRelease,
    UnknownService,
)
from apps.approvals import actions as approval_actions
from apps.audit.actors import Actor
from apps.changelogs import actions as changelog_actions
from apps.core.texts import one_line
from apps.deployments import watching
from apps.environments.models import Environment, Lane
from apps.health import alerts
from apps.health.alerts import Report
from apps.releases import actions as release_actions
from apps.releases.enums import EvidenceKind, ReleaseSource
from apps.releases.models import EventConsumer, EventVersion, Release, Service
from apps.workspaces import rights
from apps.workspaces.models import ApiToken

KNOWN = {
    "service", "version", "manifest", "commit", "tag", "notes", "notes_source", "published_date", "author_email",
    "author", "kind", "changes", "traits",
}  # fmt: skip
EVIDENCE_KNOWN = {"kind", "suite", "environment", "artifact_digest"}


@dataclass(frozen=True)
class Answer:
    status: int
    body: Mapping[str, Any]
    again: bool = False


@transaction.atomic
def create_release_once(
    token: ApiToken, *, key: str, digest: str, body: dict[str, Any], by: Actor, now: datetime
) -> Answer:
    """This function will create and seal a release for a program, once for each key; asked again, it answers again.

    Shapes: `body` as docs/reference/api.md says; `digest` is the SHA-256 (hex) of its bytes.
    Raises KeyReused: the key was used for another body. Raises UnknownService, FieldInvalid, and whatever
    `create_release` refuses.
    """
    rights.may(by, Capability.RELEASE_CREATE, token.workspace_id).require()
    request = _keep_key(token, key, digest, now) if key else None
    if request is not None and request.status:
        return Answer(request.status, request.answer, again=True)
    answer = _create_release(token, body, by=by, now=now)
    if request is not None:
        request.status, request.answer = answer.status, answer.body
        request.save(update_fields=["status", "answer"])
    return answer


@transaction.atomic
def receive_evidence(
    token: ApiToken,
    service: str,
    version: str,
    told: Mapping[str, str],
    *,
    report: bytes,
    by: Actor,
    now: datetime,
) -> Answer:
    """This function will keep a report of a release of the token's workspace.

    Shapes: `told` is what the address says: kind, suite, environment, artifact_digest, as docs/reference/api.md says.
    Raises FieldInvalid, UnknownRelease, UnknownEnvironment, and whatever `keep_evidence` or, of lines of checklists,
    `report_lines` refuses.
    """
    rights.may(by, Capability.RELEASE_CREATE, token.workspace_id).require()
    if unknown := sorted(set(told) - EVIDENCE_KNOWN):
        raise FieldInvalid(f"There is no {', '.join(unknown)[:200]}. There are: {', '.join(sorted(EVIDENCE_KNOWN))}.")
    releases = Release.objects.filter(workspace_id=token.workspace_id, service__slug=service, version=version)
    release = releases.select_related("service").first()
    if release is None:
        raise UnknownRelease("There is no such release in the workspace of this token.")
    kind, environment = told.get("kind", "").upper(), _environment_named(token, told.get("environment", ""))
    said: dict[str, Any] = {"environment": environment, "artifact_digest": told.get("artifact_digest", "")}
    if kind == EvidenceKind.CHECKLIST and "suite" not in told:
        evidence, is_new = approval_actions.report_lines(release, report=report, by=by, now=now, **said)
    else:
        suite = told.get("suite", "").upper()
        evidence, is_new = release_actions.keep_evidence(
            release, kind=kind, suite=suite, report=report, by=by, now=now, **said
        )
    body = {"id": str(evidence.pk), "kind": evidence.kind, "suite": evidence.suite, "sha256": evidence.sha256}
    figures = {"artifact_digest": evidence.artifact_digest, "says": evidence.sentence, "figures": evidence.figures}
    return Answer(201 if is_new else 200, body | figures)


def _environment_named(token: ApiToken, slug: str) -> Environment | None:
    if not slug:
        return None
    found = Environment.objects.filter(workspace_id=token.workspace_id, slug=slug, destroyed_at=None).first()
    if found is None:
        raise UnknownEnvironment("There is no such environment in the workspace of this token.")
    return found


@transaction.atomic
def opt_in(token: ApiToken, service: str, subject: str, number: int, *, by: Actor, now: datetime) -> Answer:
    """This function will let a service of the token's workspace consume a version of an event, once.

    Raises UnknownService, UnknownEvent, and whatever `releases.actions.opt_in` refuses.
    """
    version, of = _event_named(token, service, subject, number)
    consumer, is_new = release_actions.opt_in(version, of, by=by, now=now)
    return Answer(201 if is_new else 200, _consumes(consumer))


@transaction.atomic
def opt_out(token: ApiToken, service: str, subject: str, number: int, *, by: Actor, now: datetime) -> Answer:
    """This function will end that, as `opt_in` began it. Raises UnknownEvent: also where it consumes it no longer."""
    version, of = _event_named(token, service, subject, number)
    consumer = version.consumers.standing().filter(service=of).select_related("service", "version__subject").first()
    if consumer is None:
        raise UnknownEvent(f"{of} does not consume {version}.")
    return Answer(200, _consumes(release_actions.opt_out(consumer, by=by, now=now)))


def _event_named(token: ApiToken, service: str, subject: str, number: int) -> tuple[EventVersion, Service]:
    of = Service.objects.filter(slug=service, workspace_id=token.workspace_id).first()
    if of is None:
        raise UnknownService("There is no such service in the workspace of this token.")
    versions = EventVersion.objects.filter(workspace_id=token.workspace_id, subject__name=subject, number=number)
    version = versions.select_related("subject").first()
    if version is None:
        raise UnknownEvent("There is no such version of an event in the workspace of this token.")
    return version, of


def _consumes(consumer: EventConsumer) -> dict[str, Any]:
    subject, number = consumer.version.subject.name, consumer.version.number
    opted_in, ended = consumer.opted_in_at, consumer.ended_at
    times = {"opted_in_at": opted_in.isoformat(), "ended_at": ended.isoformat() if ended else None}
    return {"service": consumer.service.slug, "subject": subject, "number": number, **times}


@transaction.atomic
def receive_alerts(token: ApiToken, *, payload: dict[str, Any], by: Actor, now: datetime) -> dict[str, Any]:
    """This function will keep the alerts of lanes of the token's workspace, and roll back what they lay blame on.

    Shapes: returns what is answered: `kept` counts, `ignored` says why, `rolled_back` names deployments.
    Raises FieldInvalid: it is no message of Alertmanager.
    """
    rights.may(by, Capability.DEPLOYMENT_ROLL_BACK, token.workspace_id).require()
    reports, ignored = _read(payload)
    lanes = _lanes_named(token, reports)
    known = [(lanes[place], report) for report in reports if (place := (report.service, report.environment)) in lanes]
    ignored += [
        {"alert": one.name, "why": _nowhere(one)} for one in reports if (one.service, one.environment) not in lanes
    ]
    serious = {lane.pk: lane for lane, report in known if report.severity in settings.ALERT_SEVERITIES}
    # What may be silent for a while is asked before a lane is locked.
    said = {pk: watching.ask(lane) for pk, lane in sorted(serious.items())}
    # Lanes are locked until the end, so everybody takes them in the same order.
    for lane, report in sorted(known, key=lambda pair: (pair[0].pk, pair[1].starts_at)):
        alerts.receive(lane, report, by=by, now=now)
    back = [watching.judge(pk, answers) for pk, answers in said.items()]
    return {"kept": len(known), "ignored": ignored, "rolled_back": [str(each) for each in back if each is not None]}


def _read(payload: dict[str, Any]) -> tuple[list[Report], list[dict[str, str]]]:
    reports, unreadable = [], []
    for raw in alerts_of(payload):
        try:
            reports.append(read_alert(raw))
        except Unreadable as error:
            unreadable.append({"alert": "", "why": str(error)})
    return reports, unreadable


def _lanes_named(token: ApiToken, reports: Sequence[Report]) -> dict[tuple[str, str], Lane]:
    found = Lane.objects.standing().filter(
        workspace_id=token.workspace_id,
        service__slug__in={report.service for report in reports},
        environment__slug__in={report.environment for report in reports},
    )
    return {(lane.service.slug, lane.environment.slug): lane for lane in found.select_related("service", "environment")}


def _nowhere(report: Report) -> str:
    if not report.service or not report.environment:
        return "It needs the labels service and environment, each with a short name."
    return (
        f"No service {report.service[:60]} runs in an environment {report.environment[:60]} of this token's workspace."
    )


def _keep_key(token: ApiToken, key: str, digest: str, now: datetime) -> IdempotentRequest:
    key = one_line(key, name="The header Idempotency-Key", limit=80)
    try:
        # Waits here for a request of the same key that is under way.
        with transaction.atomic():
            return IdempotentRequest.objects.create(
                workspace_id=token.workspace_id, token=token, key=key, body_digest=digest, requested_at=now
            )
    except IntegrityError:
        there = IdempotentRequest.objects.get(token=token, key=key)
    if there.body_digest != digest:
        raise KeyReused("This Idempotency-Key was used for another body.")
    return there


def _create_release(token: ApiToken, body: dict[str, Any], *, by: Actor, now: datetime) -> Answer:
    if unknown := sorted(set(body) - KNOWN):
        raise FieldInvalid(f"There is no field {', '.join(unknown)[:200]}. Fields: {', '.join(sorted(KNOWN))}.")
    service = Service.objects.filter(slug=field(body, "service", str), workspace_id=token.workspace_id).first()
    if service is None:
        raise UnknownService("There is no such service in the workspace of this token.")
    author = person_of(field(body, "author_email", str, ""))
    release = release_actions.create_release(
        service,
        version=field(body, "version", str),
        manifest=field(body, "manifest", dict),
        source=ReleaseSource.API,
        commit=field(body, "commit", str, ""),
        tag=field(body, "tag", str, ""),
        notes=field(body, "notes", str, ""),
        notes_source=field(body, "notes_source", str, ""),
        published_date=_date(field(body, "published_date", str, "")),
        author=author,
        author_label=field(body, "author", str, "") or str(author or ""),
        kind=field(body, "kind", str, "") or None,
        traits=field(body, "traits", list, []),
        by=by,
        answers=token.created_by,
        now=now,
    )
    changes = field(body, "changes", list, [])
    if changes:
        changelog_actions.write_changes(release, changes=changes, by=by, now=now)
    release = release_actions.seal_release(release, by=by, now=now)
    return Answer(
        201,
        {
            "id": str(release.pk),
            "service": service.slug,
            "version": release.version,
            "kind": release.kind,
            "state": release.state,
            "artifact_digest": release.artifact_digest,
            "content_hash": release.content_hash,
        },
    )


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise FieldInvalid("The field published_date must be a date such as 2026-11-18.") from error
