from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import live
from apps.core.canonical import sha256_of
from apps.core.texts import one_line
from apps.core.verdict import Conflict
from apps.releases import permissions
from apps.releases.actions.migrations import content_of, require_unchanged
from apps.releases.enums import ReleaseState
from apps.releases.models import Release, Service
from apps.releases.transitions import advance


class ReleaseRuns(Conflict):
    code = "release_runs"
    next_step = "Deploy another release there first."


@transaction.atomic
def seal_release(release: Release, *, by: User | Actor, now: datetime) -> Release:
    """This function will close a draft by the hash of its content. From now on the database refuses to change it.

    Raises StaleRelease: it is no draft. Raises MigrationChanged: another release was sealed with one of its migrations,
    and with another content.
    """
    # The service's row comes first, as with a creation: what is sealed at the same moment agrees on its migrations.
    Service.objects.locked().only("pk").get(pk=release.service_id)
    release = _locked(release)
    permissions.may_release(by, release.service).require()
    require_unchanged(release, release.migrations.all())
    content_hash = content_hash_of(release)
    kind = advance(release, ReleaseState.SEALED, sealed_at=now, content_hash=content_hash)
    _tell(kind, release, by=by, summary="Sealed {}", after={"content_hash": content_hash})
    return release


@transaction.atomic
def quarantine_release(release: Release, *, reason: str, by: User | Actor, now: datetime) -> Release:
    """This function will take a release out of use: nothing brings it anywhere until the quarantine is lifted.

    Raises StaleRelease: it is not sealed.
    """
    release = _locked(release)
    permissions.may_quarantine(by, release).require()
    reason = one_line(reason, name="The reason", limit=300)
    was = release.state
    kind = advance(
        release,
        ReleaseState.QUARANTINED,
        quarantined_at=now,
        quarantined_by_label=actor_of(by).label[:150],
        quarantine_reason=reason,
    )
    _tell(kind, release, by=by, summary="Quarantined {}", reason=reason, before={"state": was},
          after={"state": release.state, "quarantine_reason": reason})  # fmt: skip
    return release


@transaction.atomic
def lift_quarantine(release: Release, *, reason: str, by: User | Actor, now: datetime) -> Release:
    """This function will let a quarantined release be deployed again.

    Raises StaleRelease: it is not in quarantine.
    """
    release = _locked(release)
    permissions.may_quarantine(by, release).require()
    reason = one_line(reason, name="The reason", limit=300)
    before = {"reason": release.quarantine_reason, "state": release.state}
    kind = advance(release, ReleaseState.SEALED, quarantined_at=None, quarantined_by_label="", quarantine_reason="")
    _tell(
        kind,
        release,
        by=by,
        summary="Lifted the quarantine of {}",
        reason=reason,
        before=before,
        after={"state": release.state},
    )
    return release


@transaction.atomic
def retire_release(release: Release, *, by: User, now: datetime) -> Release:
    """This function will end the life of a release: it can't be deployed any more, its history stays.

    Raises StaleRelease: it is a draft, or retired already. Raises ReleaseRuns: it runs somewhere.
    """
    release = _locked(release)
    permissions.may_release(by, release.service).require()
    if places := [
        str(lane.environment) for lane in release.live_in.filter(removed_at=None).select_related("environment")
    ]:
        raise ReleaseRuns(f"{release.service} {release.version} runs in {', '.join(places)}.")
    was = release.state
    kind = advance(release, ReleaseState.RETIRED, retired_at=now, retired_by=by)
    _tell(kind, release, by=by, summary="Retired {}", before={"state": was}, after={"state": release.state})
    return release


def content_hash_of(release: Release) -> str:
    """This function will return the SHA-256 in hex over what a seal closes."""
    migrations = content_of(release)  # releases without any keep the hashes that they have
    return sha256_of(
        {
            "service": release.service.slug,
            "version": release.version,
            "commit": release.commit,
            "artifact": release.artifact_digest,
            "notes": release.notes,
        }
        | ({"migrations": migrations} if migrations else {})
    )


def _locked(release: Release) -> Release:
    return Release.objects.locked().select_related("service").get(pk=release.pk)


def _tell(kind: str, release: Release, *, by: User | Actor, summary: str, **details: Any) -> None:
    audit.record(
        kind,
        by=by,
        target=release,
        service_id=release.service_id,
        summary=summary.format(f"{release.service} {release.version}"),
        target_details={"service": release.service.slug},
        **details,
    )
    live.hint(release.workspace_id, f"release:{release.pk}")
