import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import live
from apps.core.texts import many_lines, one_line
from apps.core.verdict import Conflict, Invalid
from apps.releases import manifests, permissions, repositories, versions
from apps.releases.actions.migrations import bring_migrations
from apps.releases.actions.traits import known_trait, write_trait
from apps.releases.enums import ReleaseSource
from apps.releases.models import Artifact, Release, ReleaseChange, Service

NOTES_LIMIT = 100_000
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


class ServiceRetired(Conflict):
    code = "service_retired"


class ReleaseInvalid(Invalid):
    code = "release_invalid"
    next_step = "Nothing was created. Correct it, and send it again."


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
    traits: Iterable[str] = (),
    by: User | Actor,
    answers: User | None = None,
    now: datetime,
) -> Release:
    """This function will write down a release as a draft: nothing of it runs anywhere before it is sealed.

    Shapes: `manifest` as `manifests.check` says. `kind` is what the asker takes it for; the derived one must agree.
    `traits` are those that are declared with it; which files it changes is asked of its repository.
    `answers` is who answers for the program that asks: they made its token.
    Raises VersionInvalid, ReleaseInvalid: malformed. Raises VersionExists: this very release is there.
    Raises VersionTaken: the version is there with another digest. Raises VersionLower: it would go in below another.
    Raises TraitUnknown: there is no such trait, or nobody declares it.
    Raises what `repositories.commit_of` does: tag, commit and version don't belong together.
    Raises MigrationChanged, MigrationFileDiffers: a data migration is another than was released, or than its file.
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
    declared = list(dict.fromkeys(known_trait(trait) for trait in traits))
    below = _below(new, list(existing))
    derived = versions.kind_after(below, new)
    if kind is not None and kind != derived:
        raise ReleaseInvalid(f"{service} {new} is a {derived.label.lower()} release, not {kind.lower()!r}.")
    if source not in ReleaseSource.values or (commit and not _COMMIT.fullmatch(commit)):
        raise ReleaseInvalid("A commit is named by 7 to 64 hexadecimal digits." if commit else f"No source {source!r}.")
    tag = one_line(tag, name="The tag", limit=100, required=False)
    commit = repositories.commit_of(service, version=str(new), tag=tag, commit=commit)
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
        tag=tag,
        commit=commit,
        artifact_digest=digest,
        notes=many_lines(notes, name="The notes", limit=NOTES_LIMIT),
        notes_source=one_line(notes_source, name="The source of the notes", limit=300, required=False),
        published_date=published_date,
        created_at=now,
        created_by=by if isinstance(by, User) else answers,
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
    migrations = bring_migrations(release, manifests.migrations_of(manifest))
    _keep_changed(release, existing[below] if below else "")
    for trait in declared:
        write_trait(release, trait, reason="Declared with the release", by=by, now=now)
    audit.record(
        "release.created",
        by=by,
        target=release,
        service_id=service.pk,
        summary=f"Created {service} {release.version}, a {derived.label.lower()} release",
        after={"version": release.version, "digest": digest, "commit": commit, "source": source}
        | ({"migrations": [row.name for row in migrations]} if migrations else {})
        | ({"traits": declared} if declared else {}),
        target_details={"service": service.slug},
    )
    live.hint(service.workspace_id, f"release:{release.pk}")
    return release


def _keep_changed(release: Release, previous: str) -> None:
    """Write down which files it changes beside the release below it; all of its files, where there is none."""
    service = release.service
    since = service.releases.values_list("commit", flat=True).get(version=previous) if previous else ""
    found = repositories.changed_paths(service, since=since, commit=release.commit)
    if found is not None:
        paths, is_whole = found
        ReleaseChange.objects.create(
            workspace_id=release.workspace_id,
            release=release,
            since=previous,
            paths=paths,
            is_whole=is_whole,
            is_published=release.is_published,
        )


def _version(text: str) -> versions.Version:
    try:
        return versions.parse(text)
    except versions.VersionInvalid as error:
        raise VersionInvalid(str(error)) from error


def _digest(service: Service, manifest: Mapping[str, Any]) -> str:
    try:
        manifests.check(manifest, program=service.program, kind=service.artifact_kind)
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
