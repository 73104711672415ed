"""Event schemas: published with a release, consumed by services that opted in, dropped while nobody consumes them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import hints
from apps.core.verdict import Conflict
from apps.releases import permissions
from apps.releases.models import (
    EventConsumer,
    EventPublication,
    EventSchema,
    EventSubject,
    EventVersion,
    Evidence,
    Release,
    Service,
)
from apps.releases.reports.events import Published

CHECK_TASK = "releases.check_events"
MOST_MINORS = 100
NAMED = 5


class SubjectOfAnother(Conflict):
    code = "event_of_another_service"
    next_step = "Nothing was kept. Publish it under a name of your own."


class SchemaPublished(Conflict):
    """The version is there with other content: it would be two schemas under one name."""

    code = "event_schema_published"
    next_step = "Nothing was kept. Publish the change as the next minor version, or, if it breaks, the next major one."


class VersionClosed(Conflict):
    """The version takes no such schema: it was dropped, is of another mode, or has a higher one."""

    code = "event_version_closed"
    next_step = "Nothing was kept. Publish it under another version."


class VersionConsumed(Conflict):
    code = "event_version_consumed"
    next_step = "It can be dropped once they opted out."


class VersionDropped(Conflict):
    code = "event_version_dropped"


class ConsumerEnded(Conflict):
    code = "event_consumer_ended"


def publish(evidence: Evidence, published: Sequence[Published], *, by: User | Actor, now: datetime) -> None:
    """This function will bind the schemas of a list to its release, within the transaction that keeps the list.

    Raises SubjectOfAnother, SchemaPublished, VersionClosed: as they say.
    """
    release, workspace_id = evidence.release, evidence.workspace_id
    names = sorted({each.subject for each in published})
    EventSubject.objects.bulk_create(
        [EventSubject(workspace_id=workspace_id, service_id=release.service_id, name=name) for name in names],
        ignore_conflicts=True,
    )
    # Their rows order the publications of each event, so that two can't both be the next of it.
    locked = EventSubject.objects.locked().select_related("service").filter(workspace_id=workspace_id, name__in=names)
    subjects = {subject.name: subject for subject in locked.order_by("name")}
    for subject in subjects.values():
        if subject.service_id != release.service_id:
            raise SubjectOfAnother(f"{subject} is an event of {subject.service}.")
    versions = _versions(subjects, published, now=now)
    schemas = {
        (schema.version_id, schema.minor): schema
        for schema in EventSchema.objects.filter(version__in=versions.values())
        .select_related("release", "version__subject")
        .defer("source", "found")
    }
    fresh = []
    for each in published:
        version = versions[each.subject, each.number]
        if (schema := schemas.get((version.pk, each.minor))) is None:
            there = [minor for of, minor in schemas if of == version.pk]
            _require_open(version, each, there)
            # The first of a version has none to fit.
            schema = EventSchema(
                workspace_id=workspace_id,
                version=version,
                minor=each.minor,
                source=each.source,
                digest=each.digest,
                release=release,
                published_at=now,
                published_by_label=actor_of(by).label[:150],
                checked_at=None if there else now,
            )
            schemas[version.pk, each.minor] = schema
            fresh.append(schema)
        elif schema.digest != each.digest:
            raise SchemaPublished(
                f"{schema} was published by {schema.release} with the digest {schema.digest[:12]}; "
                f"this one has {each.digest[:12]}."
            )
    EventSchema.objects.bulk_create(fresh)
    EventPublication.objects.bulk_create(
        EventPublication(
            workspace_id=workspace_id,
            evidence=evidence,
            schema=schemas[versions[each.subject, each.number].pk, each.minor],
        )
        for each in published
    )
    if fresh:
        _tell_published(release, fresh, by=by)
        hints.wake(CHECK_TASK, release.pk)


def _versions(
    subjects: dict[str, EventSubject], published: Sequence[Published], *, now: datetime
) -> dict[tuple[str, int], EventVersion]:
    """Return the versions of these schemas, locked; those that are not there yet are made."""
    known = EventVersion.objects.locked().select_related("subject").filter(subject__in=subjects.values()).order_by("pk")
    versions = {(version.subject.name, version.number): version for version in known}
    fresh = []
    for each in published:
        version = versions.get((each.subject, each.number))
        if version is None:
            subject = subjects[each.subject]
            version = EventVersion(
                workspace_id=subject.workspace_id,
                subject=subject,
                number=each.number,
                mode=each.mode,
                is_closed=each.is_closed,
                published_at=now,
            )
            versions[each.subject, each.number] = version
            fresh.append(version)
        elif (version.mode, version.is_closed) != (each.mode, each.is_closed):
            kind = "closed" if version.is_closed else "open"
            raise VersionClosed(f"{version} is {version.mode} and {kind}: that was promised with its first schema.")
    EventVersion.objects.bulk_create(fresh)
    return versions


def _require_open(version: EventVersion, each: Published, there: list[int]) -> None:
    if version.dropped_at is not None:
        raise VersionClosed(f"{version} was dropped: it gets no more schemas.")
    if there and each.minor < max(there):
        raise VersionClosed(f"{each.subject} {each.version} is lower than {version}.{max(there)}, which exists.")
    if len(there) >= MOST_MINORS:
        raise VersionClosed(f"{version} has {MOST_MINORS} schemas; go on with the next major version.")


def _tell_published(release: Release, fresh: Sequence[EventSchema], *, by: User | Actor) -> None:
    names = ", ".join(map(str, fresh[:NAMED])) + (f" and {len(fresh) - NAMED} more" if len(fresh) > NAMED else "")
    audit.record(
        "event_schema.published",
        by=by,
        target=release,
        service_id=release.service_id,
        summary=f"Published {names} with {release.service} {release}",
        after={str(schema): schema.digest for schema in fresh},
    )


@transaction.atomic
def opt_in(version: EventVersion, service: Service, *, by: User | Actor, now: datetime) -> tuple[EventConsumer, bool]:
    """This function will let a service consume a version of an event; returns that, and whether it is new.

    Raises VersionDropped: the version is no more.
    """
    permissions.may_release(by, service).require()
    version = EventVersion.objects.locked().select_related("subject").get(pk=version.pk)
    if version.dropped_at is not None:
        raise VersionDropped(f"{version} was dropped: nothing can consume it.")
    there = version.consumers.standing().filter(service=service).first()
    if there is not None:
        return there, False
    consumer = EventConsumer.objects.create(
        workspace_id=version.workspace_id,
        version=version,
        service=service,
        opted_in_at=now,
        opted_in_by_label=actor_of(by).label[:150],
    )
    _tell(consumer, "event_consumer.opted_in", f"{service} consumes {version}", by=by)
    return consumer, True


@transaction.atomic
def opt_out(consumer: EventConsumer, *, by: User | Actor, now: datetime) -> EventConsumer:
    """This function will end that a service consumes a version. Raises ConsumerEnded: it ended before."""
    permissions.may_release(by, consumer.service).require()
    # The version's row is locked first, as everywhere.
    EventVersion.objects.locked().get(pk=consumer.version_id)
    label = actor_of(by).label[:150]
    standing = EventConsumer.objects.standing().filter(pk=consumer.pk)
    if not standing.update(ended_at=now, ended_by_label=label):
        raise ConsumerEnded(f"{consumer.service} consumes {consumer.version} no longer.")
    consumer.ended_at, consumer.ended_by_label = now, label
    _tell(consumer, "event_consumer.ended", f"{consumer.service} consumes {consumer.version} no longer", by=by,
          before={"opted_in_at": consumer.opted_in_at, "ended_at": None})  # fmt: skip
    return consumer


@transaction.atomic
def drop_version(version: EventVersion, *, by: User, now: datetime) -> EventVersion:
    """This function will end a version for good: releases may leave it out, and nobody can opt in any more.

    Raises VersionConsumed: services consume it. Raises VersionDropped: it was dropped before.
    """
    version = EventVersion.objects.locked().select_related("subject__service").get(pk=version.pk)
    permissions.may_release(by, version.subject.service).require()
    names = list(version.consumers.standing().order_by("service__name").values_list("service__name", flat=True))
    if names:
        raise VersionConsumed(f"{version} is consumed by {', '.join(names)}.")
    if not EventVersion.objects.filter(pk=version.pk, dropped_at=None).update(dropped_at=now, dropped_by=by):
        raise VersionDropped(f"{version} was dropped before.")
    version.dropped_at, version.dropped_by = now, by
    audit.record(
        "event_version.dropped",
        by=by,
        target=version,
        service_id=version.subject.service_id,
        summary=f"Dropped {version}: releases may leave it out",
        before={"dropped_at": None},
        after={"dropped_at": now},
    )
    return version


def _tell(
    consumer: EventConsumer, kind: str, summary: str, *, by: User | Actor, before: dict[str, Any] | None = None
) -> None:
    audit.record(kind, by=by, target=consumer, service_id=consumer.service_id, summary=summary, before=before,
                 after={"opted_in_at": consumer.opted_in_at, "ended_at": consumer.ended_at})  # fmt: skip
