"""The data migrations that a release brings: written with the draft, closed by the seal, the same in all releases."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.core.texts import many_lines, one_line
from apps.core.verdict import Conflict
from apps.releases import repositories
from apps.releases.enums import ReleaseState
from apps.releases.models import DataMigration, Release

ROLLBACK_LIMIT = 4000


class MigrationChanged(Conflict):
    """A migration that was released has another content now: where it ran, that would never run."""

    code = "migration_changed"
    next_step = (
        "Nothing was changed. A migration never changes once it was released: write what is new as another migration, "
        "with an id of its own."
    )


def bring_migrations(release: Release, rows: Iterable[Mapping[str, Any]]) -> list[DataMigration]:
    """This function will write down the migrations of a draft; the caller holds the service's lock.

    Shapes: rows as `manifests.migrations_of` returns them, checked.
    Raises MigrationChanged: a sealed release has one of them with another content. Raises MigrationFileDiffers.
    """
    migrations = [
        DataMigration(
            workspace_id=release.workspace_id,
            release=release,
            position=position,
            name=row["id"],
            migration_class=row["class"],
            sha256=row["sha256"],
            path=row["path"],
            rollback=many_lines(row["rollback"], name="The rollback procedure", limit=ROLLBACK_LIMIT),
            reason=one_line(row["reason"], name="The reason of a migration", limit=300, required=False),
            is_critical=row["critical"],
            is_published=release.is_published,
        )
        for position, row in enumerate(rows)
    ]
    require_unchanged(release, migrations)
    for migration in migrations:
        if migration.path:
            repositories.require_file(
                release.service, commit=release.commit, path=migration.path, sha256=migration.sha256
            )
    return DataMigration.objects.bulk_create(migrations)


def require_unchanged(release: Release, migrations: Iterable[DataMigration]) -> None:
    """This function will hold migrations against those of the sealed releases; the caller holds the service's lock.

    Raises MigrationChanged: one of them has another content there.
    """
    mine = {migration.name: migration for migration in migrations}
    if not mine:
        return
    released = DataMigration.objects.filter(release__service_id=release.service_id, name__in=mine)
    others = released.exclude(release__state=ReleaseState.DRAFT).exclude(release_id=release.pk)
    for there in others.select_related("release").order_by("release__sealed_at"):
        if _content(there) != _content(mine[there.name]):
            raise MigrationChanged(
                f"{release.service} {there.release.version} was released with the migration {there.name} as "
                f"{_said(there)}; {release.version} has it as {_said(mine[there.name])}."
            )


def content_of(release: Release) -> list[dict[str, Any]]:
    """This function will return what a seal closes of the migrations (one query)."""
    return [
        {
            "id": row.name,
            "class": row.migration_class,
            "sha256": row.sha256,
            "path": row.path,
            "rollback": row.rollback,
            "reason": row.reason,
            "critical": row.is_critical,
        }
        for row in release.migrations.order_by("position")
    ]


def _content(migration: DataMigration) -> tuple[str, str, bool]:
    """The words of a rollback procedure may get better."""
    return migration.sha256, migration.migration_class, migration.is_critical


def _said(migration: DataMigration) -> str:
    critical = ", of critical data" if migration.is_critical else ""
    return f"sha256 {migration.sha256[:12]}, {migration.label.lower()}{critical}"
