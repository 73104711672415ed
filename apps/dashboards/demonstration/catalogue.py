"""The services and all their releases, as the package index and their own changelogs tell them."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings

from apps.accounts.models import User
from apps.api import runner
from apps.api.identities import webhook_actor, webhook_secret
from apps.audit.actors import SYSTEM
from apps.changelogs import actions as changelog_actions
from apps.changelogs.enums import ChangeKind
from apps.configuration import actions as configuration_actions
from apps.environments import actions as environment_actions
from apps.environments.enums import Tier
from apps.environments.models import Environment, Lane
from apps.integrations.git_repository import GitRepository
from apps.releases import actions
from apps.releases.enums import ArtifactKind, Plane, PushState, ReleaseSource
from apps.releases.models import PushedCommit, Release, Service
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from deploy.local import make_greeter, post_receive

CATALOGUE = settings.BASE_DIR / "deploy" / "local" / "catalogue.json"
GREETER = "greeter"
SUMMARIES = {
    "package-index": "Python packages of this platform, for pip",
    "calendar": "Calendars and contacts, by CalDAV and CardDAV",
    "file-share": "Files, by WebDAV",
    GREETER: "A greeting: built from its repository on every push",
}
TEAMS = {"package-index": "Platform", "calendar": "Workplace", "file-share": "Workplace", GREETER: "Platform"}
# By environment and service: what differs between the environments. The keys are those of the programs.
GREETINGS = {"dev": "Hello from Dev", "qa": "Hello from QA", "staging": "Hello from Staging", "production": "Hello"}
# What the tiers ask of their environments, as it really is on one machine: most of Production's is not met here.
ON_ONE_MACHINE = {
    "REPLICAS": "1", "ZONES": "1", "CAPACITY": "1 process", "RESOURCES_GUARANTEED": "disabled",
    "DATABASE_REPLICATION": "disabled", "REDIS_SENTINEL": "disabled", "ENCRYPTION_AT_REST": "disabled",
    "WAF": "disabled", "DDOS_PROTECTION": "disabled", "RATE_LIMITING": "none", "DEBUG_ENDPOINTS": "disabled",
    "BASIC_AUTH": "disabled", "VPN": "disabled", "MONITORING_STACK": "EAIP Operations", "ALERT_ERROR_PERCENT": "5",
    "MONITORING_RETENTION": f"{settings.HEALTH_KEEP.days}d",
}  # fmt: skip

_ISSUE = re.compile(r"\(?#(\d+)\)?")
_KINDS = (
    (re.compile(r"^(add|new|introduce|support|enable|implement|feature)", re.IGNORECASE), ChangeKind.FEATURE),
    (re.compile(r"^(fix|bugfix|correct|solve|security|resolve)", re.IGNORECASE), ChangeKind.FIX),
    (re.compile(r"(perform|faster|speed|cache)", re.IGNORECASE), ChangeKind.PERFORMANCE),
    (re.compile(r"^(doc|readme)", re.IGNORECASE), ChangeKind.DOCUMENTATION),
    (re.compile(r"^(bump|require|drop|remove support|upgrade|update .*depend)", re.IGNORECASE), ChangeKind.DEPENDENCY),
)


@cache
def described() -> list[dict[str, Any]]:
    """This function will read the services of the catalogue, in its order."""
    services: list[dict[str, Any]] = json.loads(CATALOGUE.read_text())["services"]
    return services


def load_services(platform: Workspace, *, now: datetime) -> Mapping[str, Service]:
    """This function will register the services that are missing and return all by short name."""
    known = {service.slug: service for service in Service.objects.filter(workspace=platform)}
    for row in described():
        if row["slug"] not in known:
            known[row["slug"]] = _register(platform, row, now, repository=row["versions"][-1]["homepage"])
    if GREETER not in known:
        row = {"slug": GREETER, "name": "Greeter", "plane": "control", "program": "greeter", "health_path": "/health"}
        known[GREETER] = _register(platform, row, now, repository="greeter.git", kind=ArtifactKind.SOURCE)
    return known


def load_lanes(
    environments: Iterable[Environment], services: Iterable[Service], *, now: datetime
) -> dict[tuple[str, str], Lane]:
    """This function will prepare the services in the environments and return the lanes by (service, environment)."""
    lanes = {}
    services = list(services)
    for environment in environments:
        held = {lane.service_id: lane for lane in Lane.objects.standing().filter(environment=environment)}
        for service in services:
            lane = held.get(service.pk) or environment_actions.create_lane(
                environment, service=service, by=SYSTEM, now=now
            )
            if configuration_actions.current_version(lane) is None:
                configuration_actions.write_version(
                    lane, values=_values(service, environment), reason="First configuration", by=SYSTEM, now=now
                )
            lanes[service.slug, environment.slug] = lane
    return lanes


def load_releases(service: Service, *, by: User, now: datetime) -> None:
    """This function will release every version of the catalogue that is missing, oldest first."""
    known = set(service.releases.values_list("version", flat=True))
    versions = next(row["versions"] for row in described() if row["slug"] == service.slug)
    for later, version in enumerate(versions):
        if version["version"] not in known:
            # Of one moment, lists could not tell which came first.
            _release(service, version, by=by, now=now + timedelta(milliseconds=later))


def release_next_greeter(service: Service, *, now: datetime) -> PushedCommit | None:
    """This function will have the next tag of the greeter's repository built, as if it had just been pushed.

    It returns the push as it stands then (a worker may be building it), or None when every tag has been.
    Stands in no transaction: a build takes seconds.
    """
    repository = greeter_repository()
    with workspace_scope([service.workspace_id]):
        pushes = {pushed.ref: pushed for pushed in service.pushes.all()}
        pushed = None
        for tag, commit in repository.tags().items():
            pushed = pushes.get(f"refs/tags/{tag}") or _pushed(service, repository, tag, commit, now)
            if pushed.state == PushState.RECEIVED:
                break
        else:
            return None
    runner.work_on(pushed.pk, now=now)
    with workspace_scope([service.workspace_id]):
        pushed.refresh_from_db()
    return pushed


def greeter_repository() -> GitRepository:
    """This function will return the greeter's repository, made if need be."""
    return make_greeter.make(settings.REPOSITORY_DIR / f"{GREETER}.git")


def tell_repository(service: Service, *, port: int) -> None:
    """This function will make the greeter's repository tell the portal of every push, at the portal's present port."""
    post_receive.install(
        greeter_repository().path,
        url=f"http://127.0.0.1:{port}/api/v1/webhooks/git/{GREETER}",
        secret=webhook_secret(service.pk),
    )


def change_of(note: str) -> dict[str, Any]:
    """This function will read one line of a changelog as an entry."""
    text = " ".join(note.split())
    kind = next((kind for pattern, kind in _KINDS if pattern.search(text)), ChangeKind.OTHER)
    return {"kind": kind, "text": text[:500], "is_breaking": "breaking" in text.lower()}


def _register(
    platform: Workspace, row: Mapping[str, Any], now: datetime, *, repository: str, kind: str = ArtifactKind.WHEELS
) -> Service:
    return actions.register_service(
        platform,
        slug=row["slug"],
        name=row["name"],
        summary=SUMMARIES[row["slug"]],
        owner_team=TEAMS[row["slug"]],
        program=row["program"],
        plane=Plane(row["plane"].upper()),
        repository=repository or "",
        artifact_kind=kind,
        health_path=row["health_path"],
        is_published=True,
        is_pinned=True,
        by=SYSTEM,
        now=now,
    )


def _release(service: Service, version: Mapping[str, Any], *, by: User, now: datetime) -> Release:
    notes = version["notes"]
    release = actions.create_release(
        service,
        version=version["version"],
        manifest=version["manifest"],
        source=ReleaseSource.IMPORT,
        notes="\n".join(f"- {note}" for note in notes),
        notes_source=version["notes_source"] or version["changelog_url"] or "",
        published_date=datetime.fromisoformat(version["released_at"]).date(),
        by=by,
        now=now,
    )
    if release.artifact_digest != version["digest"]:
        raise ValueError(f"{service} {release}: the catalogue says {version['digest']}, not {release.artifact_digest}")
    if notes:
        changelog_actions.write_changes(release, changes=[change_of(note) for note in notes], by=by, now=now)
    return actions.seal_release(release, by=by, now=now)


def _pushed(service: Service, repository: GitRepository, tag: str, commit: str, now: datetime) -> PushedCommit:
    told = repository.commit(commit)
    return actions.receive_push(
        service,
        delivery_id=f"demonstration-{tag}",
        body_digest=hashlib.sha256(f"demonstration {tag} {commit}".encode()).hexdigest(),
        ref=f"refs/tags/{tag}",
        commit=commit,
        pusher_label=told.author,
        author_email=told.author_email,
        committer_email=told.author_email,
        by=webhook_actor(service),
        now=now,
    )


def _values(service: Service, environment: Environment) -> dict[str, str]:
    said = ON_ONE_MACHINE if environment.tier in (Tier.STAGING, Tier.PRODUCTION) else {}
    if service.slug == GREETER:
        return {**said, "greeting": GREETINGS.get(environment.slug, "Hello")}
    if service.slug == "package-index":
        return {**said, "welcome": f"Packages of {environment.name}"}
    return said
