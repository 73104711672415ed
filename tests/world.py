"""The world of the tests: the platform's environments with one service in each, a customer's Production, a release.

All of it is made by calling actions, so that no test stands on a state that the product can't reach.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.configuration import actions as configuration_actions
from apps.configuration.models import ConfigurationVersion
from apps.core.canonical import sha256_of
from apps.environments import actions as environment_actions
from apps.environments.enums import DataClass, Tier, WindowKind
from apps.environments.models import Environment, Lane
from apps.policies.models import PolicyVersion
from apps.releases import actions as release_actions
from apps.releases.models import Release, Service
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from tests.cast import NOW, Cast

HOSTILE = (
    "<script>alert(1)</script>",
    "'; DROP TABLE releases_release; --",
    "{{ 7 * 7 }}{% debug %}",
    "\u202egnirts\u202c \U0001f4a5 e\u0301",
    '=HYPERLINK("http://example.com")',
    "../../etc/passwd",
)


@dataclass(frozen=True)
class World:
    cast: Cast
    service: Service
    dev: Environment
    qa: Environment
    staging: Environment
    production: Environment
    customer_production: Environment
    lanes: Mapping[UUID, Lane]
    release: Release

    def lane(self, environment: Environment) -> Lane:
        return self.lanes[environment.pk]

    def configuration(self, environment: Environment) -> ConfigurationVersion:
        return configuration_actions.current_version(self.lane(environment))

    def everything(self) -> AbstractContextManager[None]:
        """Return a scope that sees all workspaces: what a request leaves behind is the scope of its person."""
        return workspace_scope([workspace.pk for workspace in self.cast.workspaces])

    def next_release(self, version: str, **fields: Any) -> Release:
        """Make and seal another release of the service, by the release engineer."""
        return sealed_release(self.service, version, by=self.cast.release_engineer, **fields)


def make_manifest(program: str = "greeter", version: str = "1.0.0", *, content: str = "") -> dict[str, Any]:
    """Return a manifest of one wheel; `content` makes another digest."""
    wheel = {
        "name": program,
        "version": version,
        "filename": f"{program}-{version}-py3-none-any.whl",
        "sha256": sha256(f"{program} {version} {content}".encode()).hexdigest(),
        "size": 1024,
    }
    return {"program": program, "wheels": [wheel]}


def sealed_release(service: Service, version: str, *, by: Any, now: datetime = NOW, **fields: Any) -> Release:
    values = {"manifest": make_manifest(service.program, version), "source": "FORM", **fields}
    release = release_actions.create_release(service, version=version, by=by, now=now, **values)
    return release_actions.seal_release(release, by=by, now=now)


def make_service(workspace: Workspace, slug: str = "greeter", **fields: Any) -> Service:
    values = {"name": slug.capitalize(), "owner_team": "Platform", "program": "greeter", "is_published": True}
    return release_actions.register_service(workspace, slug=slug, by=SYSTEM, now=NOW, **(values | fields))


def make_environment(workspace: Workspace, name: str, tier: Tier, **fields: Any) -> Environment:
    values = {
        "slug": name.lower().replace(" ", "-"),
        "purpose": f"The {name} of the tests",
        "data_class": DataClass.REAL if tier == Tier.PRODUCTION else DataClass.SYNTHETIC,
        "url_pattern": f"*.{tier.lower()}.example.test",
        "deployment_method": "Blue-green",
    }
    return environment_actions.create_environment(
        workspace, name=name, tier=tier, by=SYSTEM, now=NOW, **(values | fields)
    )


def make_lane(environment: Environment, service: Service, **values: str) -> Lane:
    """Prepare the service there, with a first configuration version."""
    lane = environment_actions.create_lane(environment, service=service, by=SYSTEM, now=NOW)
    configuration_actions.write_version(
        lane, values={"GREETING": environment.name, **values}, reason="First configuration", by=SYSTEM, now=NOW
    )
    return lane


def make_world(people: Cast) -> World:
    """Make the world. The caller stands in a scope that sees the workspaces of the cast."""
    service = make_service(people.platform)
    places = [
        make_environment(people.platform, name, tier)
        for name, tier in (
            ("Dev", Tier.DEV), ("QA", Tier.QA), ("Staging", Tier.STAGING), ("Production", Tier.PRODUCTION),
        )
    ]  # fmt: skip
    theirs = make_environment(people.customer, "North Bank", Tier.PRODUCTION)
    for environment in (places[-1], theirs):
        open_window(environment)
    without_preparation()
    return World(
        cast=people,
        service=service,
        dev=places[0],
        qa=places[1],
        staging=places[2],
        production=places[3],
        customer_production=theirs,
        lanes={environment.pk: make_lane(environment, service) for environment in (*places, theirs)},
        release=sealed_release(service, "1.0.0", by=people.release_engineer, now=NOW - timedelta(days=7)),
    )


def open_window(environment: Environment) -> None:
    """Let deployments start at any hour."""
    environment_actions.set_window(
        environment,
        kind=WindowKind.ALLOW,
        weekdays=range(1, 8),
        starts_at=time(0),
        ends_at=time(0),
        zone="UTC",
        label="Any time",
        by=SYSTEM,
        now=NOW,
    )


def without_preparation() -> None:
    """Let Production ask for no hour in Staging before, nor for a checklist, nor for backups, nor for a review of what
    is major: tests stand at one moment, and journeys have no hour.
    """
    in_force = PolicyVersion.objects.in_force(Tier.PRODUCTION)
    shipped = in_force.get()
    clauses = [
        {**row, "settings": {name: value for name, value in row["settings"].items() if name != "soak_minutes"}}
        for row in shipped.document["clauses"]
        if row["settings"].get("traits") != ["MAJOR"]
        and row["settings"].get("phase") != "PRE"
        and row["gate"] != "recovery"
    ]
    document = {**shipped.document, "clauses": clauses}
    in_force.update(is_active=False)
    PolicyVersion.objects.create(
        workspace_id=shipped.workspace_id,
        tier=shipped.tier,
        number=shipped.number + 1,
        document=document,
        digest=sha256_of(document),
        reason="As shipped, without preparation",
        created_at=NOW,
        is_active=True,
    )


def last_event(kind: str) -> AuditEvent:
    """Return the newest event of the kind that the scope shows. Fails: when there is none."""
    return AuditEvent.objects.filter(kind=kind).latest("recorded_at", "event_id")


@pytest.fixture
def world(cast: Cast, own_copy: tuple[Cast, World]) -> World:
    """The whole world; as `cast`, a test that commits opens its own scope (`world.everything()`)."""
    return own_copy[1]
