"""What the pages of services show."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from apps.dashboards import matrix, places
from apps.deployments.models import Deployment
from apps.environments.enums import Health
from apps.environments.models import Freeze, Lane
from apps.health import standing
from apps.health.standing import Standing
from apps.releases.enums import ReleaseState
from apps.releases.models import Release, Service

HISTORY = 15


def services(workspaces: tuple[UUID, ...], wanted: dict[str, str]) -> "QuerySet[Service]":
    """Return the services of the catalogue with `newest`, `running`, `healthy` and `faulty`, in one query."""
    found = Service.objects.readable_in(workspaces).filter(retired_at=None)
    if text := wanted.get("q"):
        found = found.filter(Q(name__icontains=text) | Q(slug__icontains=text) | Q(owner_team__icontains=text))
    if plane := wanted.get("plane"):
        found = found.filter(plane=plane)
    sealed = Release.objects.filter(service=OuterRef("pk"), state=ReleaseState.SEALED).newest_first()
    running = Q(lanes__removed_at=None, lanes__live_release__isnull=False, lanes__workspace_id__in=workspaces)
    return found.annotate(
        newest=Subquery(sealed.values("version")[:1]),
        running=Count("lanes", filter=running),
        faulty=Count("lanes", filter=running & Q(lanes__health=Health.FAULTY)),
    ).order_by("-is_pinned", "plane", "name")


def row(service: Service, workspaces: tuple[UUID, ...], freezes: Sequence[Freeze], *, now: datetime) -> dict[str, Any]:
    """Return where the service runs: its row of the matrix. Queries: two."""
    standing = places.load(workspaces, freezes, now=now)
    return {"places": standing, "cells": matrix.row_of(service.slug, workspaces, standing, now=now)}


def watched(service: Service, workspaces: tuple[UUID, ...]) -> list[tuple[Lane, Standing]]:
    """Return the lanes of the service with how their endpoint checks stand, in promotion order. Queries: one."""
    lanes = Lane.objects.visible_in(workspaces).standing().filter(service=service).select_related("environment")
    lanes = lanes.annotate(check_counts=standing.counts()).order_by("environment__position", "environment__name")
    return [(lane, Standing.read(lane.check_counts)) for lane in lanes]


def releases(service: Service, workspaces: tuple[UUID, ...]) -> "QuerySet[Release]":
    """Return the service's releases that these workspaces may read."""
    return Release.objects.readable_in(workspaces).filter(service=service)


def history(service: Service, workspaces: tuple[UUID, ...]) -> "QuerySet[Deployment]":
    """Return the last deployments of the service, newest first."""
    deployments = Deployment.objects.visible_in(workspaces).filter(release__service=service)
    return deployments.with_subject().order_by("-number")[:HISTORY]
