"""A matrix of any size, written as rows: for counting queries and measuring, where how they came about is no matter."""

import hashlib
import itertools
from datetime import datetime, timedelta
from uuid import UUID

from apps.configuration.models import ConfigurationVersion
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.deployments.enums import DeploymentState
from apps.deployments.models import Deployment
from apps.environments.enums import DataClass, Health, Tier
from apps.environments.models import Environment, Lane
from apps.releases.enums import Plane, ReleaseKind, ReleaseSource, ReleaseState
from apps.releases.models import Release, Service

RELEASES = 5
DEPLOYMENTS = 3
COLUMNS = (
    ("local", "Local", Tier.LOCAL),
    ("dev", "Dev", Tier.DEV),
    ("qa", "QA", Tier.QA),
    ("staging", "Staging", Tier.STAGING),
    ("production", "Production", Tier.PRODUCTION),
    ("production-eu", "Production EU", Tier.PRODUCTION),
)


def fill(services: int, environments: int, *, now: datetime, workspace_id: UUID = PLATFORM_WORKSPACE_ID) -> list[Lane]:
    """Write services x environments that all run something, with releases and past deployments; return the lanes."""
    tag = f"w{workspace_id.hex[-4:]}-"
    places = Environment.objects.bulk_create(
        Environment(
            workspace_id=workspace_id,
            slug=f"{tag}{slug}",
            name=name,
            tier=tier,
            position=90 + n,
            purpose=f"{name} work",
            data_class=DataClass.SYNTHETIC,
            url_pattern=f"*.{slug}.example.test",
            deployment_method="Automatic",
            created_at=now,
        )
        for n, (slug, name, tier) in enumerate(itertools.islice(itertools.cycle(COLUMNS), environments))
    )
    made = Service.objects.bulk_create(
        Service(
            workspace_id=workspace_id,
            slug=f"{tag}service-{n:03}",
            name=f"service-{n:03}",
            plane=Plane.DATA if n % 4 == 3 else Plane.CONTROL,
            owner_team="Platform",
            program="greeter",
            created_at=now,
        )
        for n in range(services)
    )
    releases = Release.objects.bulk_create(
        _release(service, minor, now) for service in made for minor in range(RELEASES)
    )
    of_service = {service.pk: releases[n * RELEASES : (n + 1) * RELEASES] for n, service in enumerate(made)}
    lanes = Lane.objects.bulk_create(
        _lane(service, place, of_service[service.pk][max(0, RELEASES - 1 - n)], now)
        for service in made
        for n, place in enumerate(places)
    )
    configurations = ConfigurationVersion.objects.bulk_create(
        ConfigurationVersion(workspace_id=workspace_id, lane=lane, number=1, values={}, reason="First", created_at=now)
        for lane in lanes
    )
    Deployment.objects.bulk_create(
        Deployment(
            workspace_id=workspace_id,
            lane=lane,
            target_key=lane.target_key,
            release_id=lane.live_release_id,
            configuration=configuration,
            state=DeploymentState.SUCCEEDED,
            requested_at=now - timedelta(days=n + 1),
            requested_by_label="Release engineer",
            ended_at=now - timedelta(days=n + 1),
        )
        for n in range(DEPLOYMENTS, 0, -1)
        for lane, configuration in zip(lanes, configurations, strict=True)
    )
    return lanes


def _release(service: Service, minor: int, now: datetime) -> Release:
    digest = hashlib.sha256(f"{service.slug} {minor}".encode()).hexdigest()
    return Release(
        workspace_id=service.workspace_id,
        service=service,
        version=f"1.{minor}.0",
        major=1,
        minor=minor,
        patch=0,
        precedence="~",
        kind=ReleaseKind.MINOR,
        state=ReleaseState.SEALED,
        source=ReleaseSource.IMPORT,
        content_hash=digest,
        artifact_digest=f"sha256:{digest}",
        created_at=now,
        created_by_label="Release engineer",
        sealed_at=now,
    )


def _lane(service: Service, place: Environment, release: Release, now: datetime) -> Lane:
    return Lane(
        workspace_id=service.workspace_id,
        environment=place,
        service=service,
        target_key=f"{service.slug}/{place.slug}",
        created_at=now,
        live_release=release,
        live_since=now - timedelta(days=2),
        health=Health.HEALTHY,
        health_since=now,
        health_checked_at=now,
    )
