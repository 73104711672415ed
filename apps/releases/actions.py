import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import live
from apps.core.canonical import sha256_of
from apps.core.texts import many_lines, one_line
from apps.core.verdict import Conflict, Invalid
from apps.releases import manifests, permissions, versions
from apps.releases.enums import ArtifactKind, Plane, ReleaseSource, ReleaseState
from apps.releases.models import Artifact, Release, Service
from apps.releases.transitions import advance
from apps.workspaces.models import Workspace

NOTES_LIMIT = 100_000
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


class ServiceInvalid(Invalid):
    code = "service_invalid"


class ServiceExists(Conflict):
    code = "service_exists"
    next_step = "Choose another short name."


class ServiceRetired(Conflict):
    code = "service_retired"


class ReleaseInvalid(Invalid):
    code = "release_invalid"


class VersionInvalid(Invalid):
    code = "version_invalid"


class VersionExists(Conflict):
    code = "version_exists"
    next_step = "Release the next version instead."


class VersionTaken(Conflict):
    """The same version with other content: it would be two programs under one name."""

    code = "version_taken"
    next_step = "Release the next version instead: a version is never reused and never moved."


class VersionLower(Conflict):
    code = "version_lower"


@transaction.atomic
def register_service(
    workspace: Workspace,
    *,
    slug: str,
    name: str,
    owner_team: str,
    program: str,
    plane: str = Plane.CONTROL,
    summary: str = "",
    repository: str = "",
    artifact_kind: str = ArtifactKind.WHEELS,
    health_path: str = "/",
    is_published: bool = False,
    is_pinned: bool = False,
    by: User | Actor,
    now: datetime,
) -> Service:
    """This function will add a service to the catalogue; a published one can be read by every workspace.

    Raises ServiceInvalid: a malformed short name, an unknown word, a health path that is none.
    Raises ServiceExists: the short name is taken.
    """
    permissions.may_register(by, workspace).require()
    if not health_path.startswith("/") or health_path.startswith("//"):
        raise ServiceInvalid("The health path begins with one slash, such as /health.")
    service = Service(
        workspace=workspace,
        slug=one_line(slug, name="The short name", limit=60),
        name=one_line(name, name="The name", limit=80),
        summary=one_line(summary, name="The summary", limit=200, required=False),
        plane=plane,
        owner_team=one_line(owner_team, name="The owner team", limit=80),
        repository=one_line(repository, name="The repository", limit=300, required=False),
        artifact_kind=artifact_kind,
        program=one_line(program, name="The program", limit=80),
        health_path=one_line(health_path, name="The health path", limit=200),
        is_published=is_published,
        is_pinned=is_pinned,
        created_at=now,
        created_by=by if isinstance(by, User) else None,
    )
    try:
        service.clean_fields(exclude=["workspace", "created_by", "retired_by"])
        with transaction.atomic():
            service.save(force_insert=True)
    except ValidationError as error:
        told = "; ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
        raise ServiceInvalid(told) from error
    except IntegrityError as error:
        raise ServiceExists(f"There is a service {service.slug} already.") from error
    audit.record(
        "service.registered",
        by=by,
        target=service,
        service_id=service.pk,
        summary=f"Registered the service {service.name}",
        after={"slug": service.slug, "program": program, "plane": plane, "owner_team": owner_team},
    )
    return service


@transaction.atomic
def create_release(
    service: Service,
    *,
    version: str,
    manifest: Mapping[str, Any],
    source: str,
    commit: str = "",
    tag: str = "",
    notes: str = "",
    notes_source: str = "",
    published_date: date | None = None,
    author: User | None = None,
    committer: User | None = None,
    author_label: str = "",
    kind: str | None = None,
    by: User | Actor,
    now: datetime,
) -> Release:
    """This function will write down a release as a draft: nothing of it runs anywhere before it is sealed.

    Shapes: `manifest` as `manifests.check` says. `kind` is what the asker takes it for; the derived one must agree.
    Raises VersionInvalid, ReleaseInvalid: malformed. Raises VersionExists: this very release is there.
    Raises VersionTaken: the version is there with another digest. Raises VersionLower: it would go in below another.
    """
    # The service's row orders the creations of its releases, so that two can't both be the next one.
    service = Service.objects.locked().get(pk=service.pk)
    permissions.may_release(by, service).require()
    if service.retired_at is not None:
        raise ServiceRetired(f"{service} is retired; it gets no more releases.")
    new = _version(version)
    digest = _digest(service, manifest)
    existing = {versions.parse(text): text for text in service.releases.values_list("version", flat=True)}
    _require_new(service, new, digest, list(existing))
    derived = versions.kind_after(_below(new, list(existing)), new)
    if kind is not None and kind != derived:
        raise ReleaseInvalid(f"{service} {new} is a {derived.label.lower()} release, not {kind.lower()!r}.")
    if source not in ReleaseSource.values or (commit and not _COMMIT.fullmatch(commit)):
        raise ReleaseInvalid("A commit is named by 7 to 64 hexadecimal digits." if commit else f"No source {source!r}.")
    release = Release.objects.create(
        workspace_id=service.workspace_id,
        service=service,
        version=str(new),
        major=new.major,
        minor=new.minor,
        patch=new.patch,
        precedence=new.precedence,
        kind=derived,
        source=source,
        is_published=service.is_published,
        tag=one_line(tag, name="The tag", limit=100, required=False),
        commit=commit,
        artifact_digest=digest,
        notes=many_lines(notes, name="The notes", limit=NOTES_LIMIT),
        notes_source=one_line(notes_source, name="The source of the notes", limit=300, required=False),
        published_date=published_date,
        created_at=now,
        created_by=by if isinstance(by, User) else None,
        created_by_label=actor_of(by).label[:150],
        author=author,
        committer=committer,
        author_label=one_line(author_label, name="The author", limit=150, required=False),
    )
    Artifact.objects.create(
        workspace_id=service.workspace_id,
        release=release,
        kind=service.artifact_kind,
        digest=digest,
        manifest=manifest,
        size=manifests.size_of(manifest),
        is_published=service.is_published,
    )
    audit.record(
        "release.created",
        by=by,
        target=release,
        service_id=service.pk,
        summary=f"Created {service} {release.version}, a {derived.label.lower()} release",
        after={"version": release.version, "digest": digest, "commit": commit, "source": source},
        target_details={"service": service.slug},
    )
    live.hint(service.workspace_id, f"release:{release.pk}")
    return release


@transaction.atomic
def seal_release(release: Release, *, by: User | Actor, now: datetime) -> Release:
    """This function will close a draft by the hash of its content. From now on the database refuses to change it.

    Raises StaleRelease: it is no draft.
    """
    release = _locked(release)
    permissions.may_release(by, release.service).require()
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
    kind = advance(
        release,
        ReleaseState.QUARANTINED,
        quarantined_at=now,
        quarantined_by_label=actor_of(by).label[:150],
        quarantine_reason=reason,
    )
    _tell(kind, release, by=by, summary="Quarantined {}", reason=reason)
    return release


@transaction.atomic
def lift_quarantine(release: Release, *, reason: str, by: User | Actor, now: datetime) -> Release:
    """This function will let a quarantined release be deployed again.

    Raises StaleRelease: it is not in quarantine.
    """
    release = _locked(release)
    permissions.may_quarantine(by, release).require()
    reason, before = one_line(reason, name="The reason", limit=300), {"reason": release.quarantine_reason}
    kind = advance(release, ReleaseState.SEALED, quarantined_at=None, quarantined_by_label="", quarantine_reason="")
    _tell(kind, release, by=by, summary="Lifted the quarantine of {}", reason=reason, before=before)
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
    kind = advance(release, ReleaseState.RETIRED, retired_at=now, retired_by=by)
    _tell(kind, release, by=by, summary="Retired {}")
    return release


class ReleaseRuns(Conflict):
    code = "release_runs"
    next_step = "Deploy another release there first."


def content_hash_of(release: Release) -> str:
    """This function will return the SHA-256 in hex over what a seal closes."""
    return sha256_of(
        {
            "service": release.service.slug,
            "version": release.version,
            "commit": release.commit,
            "artifact": release.artifact_digest,
            "notes": release.notes,
        }
    )


def _locked(release: Release) -> Release:
    return Release.objects.locked().select_related("service").get(pk=release.pk)


def _version(text: str) -> versions.Version:
    try:
        return versions.parse(text)
    except versions.VersionInvalid as error:
        raise VersionInvalid(str(error)) from error


def _digest(service: Service, manifest: Mapping[str, Any]) -> str:
    try:
        manifests.check(manifest, program=service.program)
    except manifests.ManifestInvalid as error:
        raise ReleaseInvalid(str(error)) from error
    return manifests.digest_of(manifest)


def _require_new(service: Service, new: versions.Version, digest: str, existing: list[versions.Version]) -> None:
    for version in existing:
        if version.key == new.key:
            there = service.releases.get(version=str(version))
            if there.artifact_digest != digest:
                raise VersionTaken(
                    f"{service} {there.version} was released with the digest {there.artifact_digest}; "
                    f"this one has {digest}."
                )
            raise VersionExists(f"{service} {there.version} exists already, with this very content.")
    if (higher := versions.blocked_by(new, existing)) is not None:
        raise VersionLower(
            f"{service} {new} is lower than {higher}, which exists.",
            next_step=f"The next version of that line is above {higher}.",
        )


def _below(new: versions.Version, existing: list[versions.Version]) -> versions.Version | None:
    lower = [version for version in existing if not version.prerelease and version.key < new.key]
    return max(lower, key=lambda version: version.key, default=None)


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
