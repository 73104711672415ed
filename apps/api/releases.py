"""Releases for programs that ask what one is, and how long it is supported."""

from datetime import datetime
from typing import Any

from apps.accounts.enums import Capability
from apps.api.problems import UnknownRelease
from apps.releases import support
from apps.releases.models import Release
from apps.workspaces import rights
from apps.workspaces.models import ApiToken


def described(token: ApiToken, service: str, version: str, *, now: datetime) -> dict[str, Any]:
    """This function will describe a release of the token's workspace, or one that is published to it.

    Shapes: "support" is {"level": a `SupportLevel`, "label", "ends_date": the first day without support, or null}.
    Raises UnknownRelease.
    """
    rights.may(token.actor, Capability.RELEASE_CREATE, token.workspace_id).require()
    releases = Release.objects.readable_in((token.workspace_id,)).select_related("service")
    release = releases.filter(service__slug=service, version=version).first()
    if release is None:
        raise UnknownRelease(f"There is no release {version} of {service} here.")
    [(_, supported)] = support.of_releases([release], today=now.date())
    return {
        "id": str(release.pk),
        "service": release.service.slug,
        "version": release.version,
        "kind": release.kind,
        "state": release.state,
        "artifact_digest": release.artifact_digest,
        "content_hash": release.content_hash,
        "support": {
            "level": supported.level,
            "label": supported.label,
            "ends_date": supported.ends_date.isoformat() if supported.ends_date else None,
        },
    }
