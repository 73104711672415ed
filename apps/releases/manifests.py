"""What a release is made of: the program and the hash-locked wheels that it needs, or a Helm chart; and the data
migrations that it brings. Pure.
"""

import re
from collections.abc import Mapping
from typing import Any

from apps.core.canonical import sha256_of
from apps.releases.enums import ArtifactKind, MigrationClass

CHART = ArtifactKind.CHART
STORE = "store"
CHART_FIELDS = {"name": "", "version": "", "filename": "", "sha256": "", "size": 0, "source": STORE}
WHEEL_FIELDS = {"name": "", "version": "", "filename": "", "sha256": "", "size": 0, "marker": "", "source": "index"}
MIGRATION_FIELDS = {"id": "", "class": "", "sha256": "", "rollback": "", "path": "", "reason": "", "critical": False}
# "marker" is of wheels, "source" of wheels and charts, the others of migrations.
OPTIONAL = {"marker", "source", "path", "reason", "critical"}
MOST_WHEELS = 500
MOST_MIGRATIONS = 200

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_FILENAME = re.compile(r"[A-Za-z0-9._+!-]{1,200}\.whl")
_ARCHIVE = re.compile(r"[A-Za-z0-9._+-]{1,200}\.tgz")
_MIGRATION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,98}[A-Za-z0-9])?")
_PATH = re.compile(r"(?!/)(?!.*\.\.)[A-Za-z0-9._/+-]{1,300}")
_SOURCE = re.compile(r"oci://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}")


class ManifestInvalid(ValueError):
    """Not a manifest that could be deployed."""


def digest_of(manifest: Mapping[str, Any]) -> str:
    """This function will return `sha256:<hex>`: of wheels over their canonical JSON, of a chart that of its archive."""
    if "chart" in manifest:
        return f"sha256:{manifest['chart']['sha256']}"
    rows = [{field: row.get(field, default) for field, default in WHEEL_FIELDS.items()} for row in manifest["wheels"]]
    return "sha256:" + sha256_of(sorted(rows, key=lambda row: row["filename"]))


def size_of(manifest: Mapping[str, Any]) -> int:
    """This function will return the bytes of all files."""
    return sum(row["size"] for row in files_of(manifest))


def files_of(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """This function will return the row of each file: all wheels, or the chart."""
    return [CHART_FIELDS | manifest["chart"]] if "chart" in manifest else list(manifest.get("wheels", []))


def migrations_of(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """This function will return the row of each data migration, in the order in which they run."""
    return [MIGRATION_FIELDS | row for row in manifest.get("migrations", [])]


def own_digests(manifest: Mapping[str, Any]) -> set[str]:
    """This function will return the SHA-256 (hex) of the files that are the program itself, not what it needs.

    Shapes: of wheels those of the program; of a chart its archive, and what a registry names it by.
    """
    rows = [row for row in files_of(manifest) if _project(row["name"]) == _project(manifest["program"])]
    named = {row["source"].partition("@sha256:")[2] for row in rows if "source" in row}
    return {row["sha256"] for row in rows} | (named - {""})


def check(manifest: Any, *, program: str, kind: str = ArtifactKind.WHEELS) -> None:
    """This function will refuse what is not a manifest of the program.

    Shapes: for charts `{"program", "chart": {"name", "version", "filename", "sha256", "size", "source"}}`, where the
    source is `store` or `oci://host/path@sha256:<hex>`; for all other kinds `{"program", "wheels": [...]}`. Both may
    have `"migrations": [{"id", "class", "sha256", "rollback", "path", "reason", "critical"}]`.
    Raises ManifestInvalid: with the first thing that is wrong with it.
    """
    if kind == CHART:
        _check_chart(manifest, program)
    else:
        _check_wheels(manifest, program)
    _check_migrations(manifest.get("migrations", []))


def _check_chart(manifest: Any, program: str) -> None:
    if not isinstance(manifest, dict) or set(manifest) - {"migrations"} != {"program", "chart"}:
        raise ManifestInvalid(
            "The manifest of a chart has exactly two fields: program and chart. It may have migrations, too."
        )
    chart = manifest["chart"]
    _check_fields(chart, CHART_FIELDS, what="chart")
    if manifest["program"] != program or chart["name"] != program:
        raise ManifestInvalid(f"The manifest is of {chart['name']!r}, the service runs {program!r}.")
    if not _ARCHIVE.fullmatch(chart["filename"]):
        raise ManifestInvalid(f"{chart['filename'][:60]!r} is not the file name of a chart's archive (.tgz).")
    if not _SHA256.fullmatch(chart["sha256"]) or chart["size"] <= 0 or not chart["version"]:
        raise ManifestInvalid(f"{chart['filename']} has no SHA-256, no size or no version.")
    if chart.get("source", STORE) != STORE and not _SOURCE.fullmatch(chart["source"]):
        raise ManifestInvalid("A chart's source is store, or oci://host/path@sha256: and 64 hexadecimal digits.")


def _check_wheels(manifest: Any, program: str) -> None:
    if not isinstance(manifest, dict) or set(manifest) - {"migrations"} != {"program", "wheels"}:
        raise ManifestInvalid("A manifest has exactly two fields: program and wheels. It may have migrations, too.")
    if manifest["program"] != program:
        raise ManifestInvalid(f"The manifest is of {manifest['program']!r}, the service runs {program!r}.")
    wheels = manifest["wheels"]
    if not isinstance(wheels, list) or not 0 < len(wheels) <= MOST_WHEELS:
        raise ManifestInvalid(f"A manifest lists 1 to {MOST_WHEELS} wheels.")
    for row in wheels:
        _check_wheel(row)
    if len({row["filename"] for row in wheels}) != len(wheels):
        raise ManifestInvalid("The manifest lists a wheel twice.")
    if not any(_project(row["name"]) == _project(program) for row in wheels):
        raise ManifestInvalid(f"The manifest has no wheel of {program} itself.")


def _check_wheel(row: Any) -> None:
    _check_fields(row, WHEEL_FIELDS, what="wheel")
    if not _FILENAME.fullmatch(row["filename"]):
        raise ManifestInvalid(f"{row['filename'][:60]!r} is not the file name of a wheel.")
    if not _SHA256.fullmatch(row["sha256"]) or row["size"] <= 0 or not _NAME.fullmatch(row["name"]):
        raise ManifestInvalid(f"{row['filename']} has no SHA-256, no size or no name.")
    if row.get("source", "index") not in {"index", "build"}:
        raise ManifestInvalid(f"{row['filename']} comes from neither the index nor a build.")


def _check_migrations(rows: Any) -> None:
    if not isinstance(rows, list) or len(rows) > MOST_MIGRATIONS:
        raise ManifestInvalid(f"The migrations of a manifest are a list of at most {MOST_MIGRATIONS}.")
    for row in rows:
        _check_fields(row, MIGRATION_FIELDS, what="migration")
        _check_migration(MIGRATION_FIELDS | row)
    ids = [row["id"] for row in rows]
    if twice := next((each for each in ids if ids.count(each) > 1), None):
        raise ManifestInvalid(f"The manifest lists the migration {twice} twice.")


def _check_migration(row: Mapping[str, Any]) -> None:
    if not _MIGRATION.fullmatch(row["id"]):
        raise ManifestInvalid(f"{row['id'][:60]!r} is not the id of a migration, such as 0042_split_names.")
    named = f"The migration {row['id']}"
    if row["class"] not in MigrationClass.values:
        raise ManifestInvalid(
            f"{named} has the class {row['class'][:30]!r}. There are: {', '.join(MigrationClass.values)}."
        )
    if not _SHA256.fullmatch(row["sha256"]):
        raise ManifestInvalid(f"{named} has no checksum: its sha256 is 64 hexadecimal digits.")
    if row["path"] and not _PATH.fullmatch(row["path"]):
        raise ManifestInvalid(f"{named} has the path {row['path'][:60]!r}, which is none inside of the repository.")
    _check_way_back(named, row)


def _check_way_back(named: str, row: Mapping[str, Any]) -> None:
    is_forward_only = row["class"] == MigrationClass.FORWARD_ONLY
    if not row["rollback"].strip():
        what = "how the data is restored" if is_forward_only else "how it is rolled back, or where that is written"
        raise ManifestInvalid(f"{named} has no rollback procedure: say {what}.")
    if is_forward_only and not row["reason"].strip():
        raise ManifestInvalid(f"{named} is forward-only without a reason: say why nothing less will do.")
    if row["critical"] and row["class"] == MigrationClass.REVERSIBLE:
        raise ManifestInvalid(
            f"{named} is of critical data, which is never migrated back: it is FORWARD_COMPATIBLE or FORWARD_ONLY."
        )


def _check_fields(row: Any, fields: Mapping[str, Any], *, what: str) -> None:
    if not isinstance(row, dict) or not set(fields) - OPTIONAL <= set(row) <= set(fields):
        raise ManifestInvalid(f"Each {what} has the fields {', '.join(fields)}.")
    for field, example in fields.items():
        if type(row.get(field, example)) is not type(example):
            raise ManifestInvalid(f"The field {field} of a {what} is of the wrong type.")


def _project(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
