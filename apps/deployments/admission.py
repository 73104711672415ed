"""May a cluster run this in a namespace? Only what is approved for the environment that claims it (ADR 0095).

It is asked while an API server waits, so nothing is locked and the number of queries does not depend on what is asked.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from apps.accounts.enums import Capability
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import Actor
from apps.core.verdict import ALLOWED, Verdict, refused
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.enums import ResourceKind
from apps.environments.models import Environment, Lane, Resource
from apps.releases import manifests
from apps.releases.enums import ReleaseState
from apps.releases.models import Artifact
from apps.workspaces import rights

MOST_NAMED, LONGEST = 3, 1000
_PINNED = re.compile(r"[^\s@]+@(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Review:
    """`place` names the namespace as `resource_uris.normalised` does; `images` are those that were not there before."""

    cluster: str
    namespace: str
    place: str
    subject: str
    """Kind and name of the object or, where something made it, of its maker, which makes it again."""
    images: Sequence[str]
    asked_by: str
    is_dry_run: bool


@dataclass(frozen=True, slots=True)
class Approved:
    """What may run in an environment: digests of images, and the releases that they are of."""

    digests: Collection[str]
    releases: Sequence[str]
    nameless: Sequence[str]
    """Those of them whose manifests name no image."""


def judge(review: Review, *, workspace_id: UUID, by: Actor, now: datetime) -> Verdict:
    """This function will say whether the images of an object may run where it shall be, and tell the trail if not.

    Shapes: a verdict, never a refusal of the question; a dry run leaves no trace.
    Raises Denied: the token is not of a cluster.
    """
    rights.may(by, Capability.ENVIRONMENT_MANAGE, workspace_id).require()
    if not review.images:
        return ALLOWED
    environment = _claiming(review.place)
    verdict = (
        _unclaimed() if environment is None else verdict_on(review.images, str(environment), approved(environment))
    )
    if not verdict and not review.is_dry_run:
        environment_actions.tell_denial(
            environment,
            workspace_id=workspace_id,
            cluster=review.cluster,
            namespace=review.namespace,
            subject=review.subject,
            images=review.images,
            asked_by=review.asked_by,
            reason=verdict.sentence[:LONGEST],
            by=by,
            now=now,
        )
    return verdict


def verdict_on(images: Sequence[str], place: str, may_run: Approved) -> Verdict:
    """This function will judge images as an object names them. Pure."""
    for image in images:
        pinned = _PINNED.fullmatch(image)
        if pinned is None:
            said = f"{image[:300] or 'An image without a name'} is not named by its digest. Write name@sha256:…"
            return refused("image_not_pinned", f"{said}, as the release that was approved for {place} does.")
        if pinned[1] not in may_run.digests:
            return refused("image_not_approved", f"{image[:300]} is not approved for {place}. {_hint(may_run)}")
    return ALLOWED


def approved(environment: Environment) -> Approved:
    """This function will find what may run there: what runs, what may be deployed or is, and what can come back."""
    rows = _artifacts(environment).values_list("release__service__name", "release__version", "manifest")
    digests: set[str] = set()
    releases: list[str] = []
    nameless: list[str] = []
    for service, version, manifest in rows.order_by("release__service__name", "release__version"):
        images = manifests.images_of(manifest)
        digests.update(row["digest"] for row in images)
        (releases if images else nameless).append(f"{service} {version}")
    return Approved(digests, releases, nameless)


def _artifacts(environment: Environment) -> QuerySet[Artifact]:
    lanes = Lane.objects.standing().filter(environment=environment)
    ready = Promotion.objects.filter(lane__in=lanes, state__in=(PromotionState.READY, PromotionState.DEPLOYING))
    under_way = Deployment.objects.open().filter(lane__in=lanes)
    # What was quarantined may go on where it runs, or a pod that dies would be an outage; nobody goes back to it.
    return Artifact.objects.filter(
        Q(release__in=lanes.filter(live_release__isnull=False).values("live_release"))
        | Q(release__in=ready.values("release"))
        | Q(release__in=under_way.values("release"))
        | Q(release__in=lanes.filter(previous_release__isnull=False).values("previous_release"))
        & ~Q(release__state=ReleaseState.QUARANTINED)
    )


def _claiming(place: str) -> Environment | None:
    claims = Resource.objects.filter(kind=ResourceKind.NAMESPACE, normalised=place, released_at=None)
    claim = claims.select_related("environment").first()
    return claim.environment if claim else None


def _unclaimed() -> Verdict:
    if settings.ADMISSION_UNCLAIMED == "allow":
        return ALLOWED
    return refused(
        "namespace_unclaimed", "No environment of this workspace claims the namespace. Claim it on its page."
    )


def _hint(may_run: Approved) -> str:
    if may_run.releases:
        return f"Approved there: {_named(may_run.releases)}. Another one is promoted in the portal first."
    if may_run.nameless:
        return f"{_named(may_run.nameless)} may run there, but the manifest of no such release names its images."
    return "Nothing is: promote a release to it in the portal first."


def _named(releases: Sequence[str]) -> str:
    more = f" and {len(releases) - MOST_NAMED} more" if len(releases) > MOST_NAMED else ""
    return ", ".join(releases[:MOST_NAMED]) + more
