"""What a release is made of: the program and the hash-locked wheels that it needs, or a Helm chart and images; and the
data migrations that it brings. Pure.
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
IMAGE_FIELDS = {"name": "", "tag": "", "digest": ""}
# "marker" is of wheels, "source" of wheels and charts, "tag" of images, the others of migrations.
OPTIONAL = {"marker", "source", "tag", "path", "reason", "critical"}
MOST_WHEELS, MOST_IMAGES, MOST_MIGRATIONS = 500, 50, 200
LONGEST_IMAGE = 255

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_FILENAME = re.compile(r"[A-Za-z0-9._+!-]{1,200}\.whl")
_ARCHIVE = re.compile(r"[A-Za-z0-9._+-]{1,200}\.tgz")
_MIGRATION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,98}[A-Za-z0-9])?")
_PATH = re.compile(r"(?!/)(?!.*\.\.)[A-Za-z0-9._/+-]{1,300}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SOURCE = re.compile(r"oci://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}")
# With the host of its registry, which a cluster would otherwise add by itself. Names and tags as the specification of
# the OCI's distribution has them (opencontainers/distribution-spec, "Pulling manifests").
_IMAGE = re.compile(
    r"(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9-]+(?=:))(?::[0-9]{1,5})?"
    r"(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class ManifestInvalid(ValueError):
    """Not a manifest that could be deployed. `place` is what is wrong, such as `images[2].digest`; empty: all of it."""

    def __init__(self, sentence: str, place: str = "") -> None:
        super().__init__(sentence)
        self.place = place


def digest_of(manifest: Mapping[str, Any]) -> str:
    """This function will return `sha256:<hex>`: of wheels over their canonical JSON, of a chart that of its archive.

    Where a chart comes with images, it is over the archive's and theirs: with another image it is another release.
    """
    if "chart" in manifest and "images" in manifest:
        images = sorted((row["name"], row.get("tag", ""), row["digest"]) for row in manifest["images"])
        return "sha256:" + sha256_of({"chart": manifest["chart"]["sha256"], "images": images})
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


def images_of(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """This function will return the row of each image that a release names, with all fields."""
    return [IMAGE_FIELDS | row for row in manifest.get("images", [])]


def image_read(text: str) -> dict[str, str]:
    """This function will read an image as clusters do, `name:tag@sha256:<hex>`; `check` says whether it is one."""
    name, _, digest = text.partition("@")
    before, colon, tag = name.rpartition(":")
    # Where a slash follows, the colon is that of the registry's port.
    named, tag = (before, tag) if colon and "/" not in tag else (name, "")
    return {"name": named, "digest": digest} | ({"tag": tag} if tag else {})


def check(manifest: Any, *, program: str, kind: str = ArtifactKind.WHEELS) -> None:
    """This function will refuse what is not a manifest of the program.

    Shapes: for charts `{"program", "chart": {"name", "version", "filename", "sha256", "size", "source"}}`, where the
    source is `store` or `oci://host/path@sha256:<hex>`, and perhaps `"images": [{"name", "tag", "digest"}, ...]`, each
    name with its registry's host, the tag optional; for all other kinds `{"program", "wheels": [...]}`. Both
    may have `"migrations": [{"id", "class", "sha256", "rollback", "path", "reason", "critical"}]`.
    Raises ManifestInvalid: with the first thing that is wrong with it.
    """
    if kind == CHART:
        _check_chart(manifest, program)
    else:
        _check_wheels(manifest, program)
    _check_migrations(manifest.get("migrations", []))


def _check_chart(manifest: Any, program: str) -> None:
    if not isinstance(manifest, dict) or set(manifest) - {"images", "migrations"} != {"program", "chart"}:
        said = "The manifest of a chart has the fields program and chart, and may have images and migrations."
        raise ManifestInvalid(said)
    chart = manifest["chart"]
    _check_fields(chart, CHART_FIELDS, what="chart", place="chart")
    if manifest["program"] != program or chart["name"] != program:
        raise ManifestInvalid(f"The manifest is of {chart['name']!r}, the service runs {program!r}.", "program")
    if not _ARCHIVE.fullmatch(chart["filename"]):
        said = f"{chart['filename'][:60]!r} is not the file name of a chart's archive (.tgz)."
        raise ManifestInvalid(said, "chart.filename")
    if not _SHA256.fullmatch(chart["sha256"]) or chart["size"] <= 0 or not chart["version"]:
        raise ManifestInvalid(f"{chart['filename']} has no SHA-256, no size or no version.", "chart")
    if chart.get("source", STORE) != STORE and not _SOURCE.fullmatch(chart["source"]):
        said = "A chart's source is store, or oci://host/path@sha256: and 64 hexadecimal digits."
        raise ManifestInvalid(said, "chart.source")
    if "images" in manifest:
        _check_images(manifest["images"])


def _check_images(images: Any) -> None:
    if not isinstance(images, list) or not 0 < len(images) <= MOST_IMAGES:
        raise ManifestInvalid(f"A manifest that names images lists 1 to {MOST_IMAGES} of them.", "images")
    for number, row in enumerate(images):
        _check_image(row, f"images[{number}]")
    if len({(row["name"], row["digest"]) for row in images}) != len(images):
        raise ManifestInvalid("The manifest lists an image twice.", "images")


def _check_image(row: Any, place: str) -> None:
    _check_fields(row, IMAGE_FIELDS, what="image", place=place)
    if not _IMAGE.fullmatch(row["name"]) or len(row["name"]) > LONGEST_IMAGE:
        said = f"{row['name'][:60]!r} does not say registry and name: registry.example.com/shop/app."
        raise ManifestInvalid(said, f"{place}.name")
    if not _DIGEST.fullmatch(row["digest"]):
        said = f"The image {row['name']} has no digest: sha256: and 64 hexadecimal digits."
        raise ManifestInvalid(said, f"{place}.digest")
    if row.get("tag") and not _TAG.fullmatch(row["tag"]):
        raise ManifestInvalid(f"{row['tag'][:60]!r} is not a tag of an image.", f"{place}.tag")


def _check_wheels(manifest: Any, program: str) -> None:
    if not isinstance(manifest, dict) or set(manifest) - {"migrations"} != {"program", "wheels"}:
        raise ManifestInvalid("A manifest has exactly two fields: program and wheels. It may have migrations, too.")
    if manifest["program"] != program:
        raise ManifestInvalid(f"The manifest is of {manifest['program']!r}, the service runs {program!r}.", "program")
    wheels = manifest["wheels"]
    if not isinstance(wheels, list) or not 0 < len(wheels) <= MOST_WHEELS:
        raise ManifestInvalid(f"A manifest lists 1 to {MOST_WHEELS} wheels.", "wheels")
    for number, row in enumerate(wheels):
        _check_wheel(row, f"wheels[{number}]")
    if len({row["filename"] for row in wheels}) != len(wheels):
        raise ManifestInvalid("The manifest lists a wheel twice.", "wheels")
    if not any(_project(row["name"]) == _project(program) for row in wheels):
        raise ManifestInvalid(f"The manifest has no wheel of {program} itself.", "wheels")


def _check_wheel(row: Any, place: str) -> None:
    _check_fields(row, WHEEL_FIELDS, what="wheel", place=place)
    if not _FILENAME.fullmatch(row["filename"]):
        raise ManifestInvalid(f"{row['filename'][:60]!r} is not the file name of a wheel.", f"{place}.filename")
    if not _SHA256.fullmatch(row["sha256"]) or row["size"] <= 0 or not _NAME.fullmatch(row["name"]):
        raise ManifestInvalid(f"{row['filename']} has no SHA-256, no size or no name.", place)
    if row.get("source", "index") not in {"index", "build"}:
        raise ManifestInvalid(f"{row['filename']} comes from neither the index nor a build.", f"{place}.source")


def _check_migrations(rows: Any) -> None:
    if not isinstance(rows, list) or len(rows) > MOST_MIGRATIONS:
        raise ManifestInvalid(f"The migrations of a manifest are a list of at most {MOST_MIGRATIONS}.", "migrations")
    for number, row in enumerate(rows):
        _check_fields(row, MIGRATION_FIELDS, what="migration", place=f"migrations[{number}]")
        _check_migration(MIGRATION_FIELDS | row, f"migrations[{number}]")
    ids = [row["id"] for row in rows]
    if twice := next((each for each in ids if ids.count(each) > 1), None):
        raise ManifestInvalid(f"The manifest lists the migration {twice} twice.", "migrations")


def _check_migration(row: Mapping[str, Any], place: str) -> None:
    if not _MIGRATION.fullmatch(row["id"]):
        raise ManifestInvalid(f"{row['id'][:60]!r} is not the id of a migration, such as 0042_split_names.", place)
    named = f"The migration {row['id']}"
    if row["class"] not in MigrationClass.values:
        said = f"{named} has the class {row['class'][:30]!r}. There are: {', '.join(MigrationClass.values)}."
        raise ManifestInvalid(said, f"{place}.class")
    if not _SHA256.fullmatch(row["sha256"]):
        raise ManifestInvalid(f"{named} has no checksum: its sha256 is 64 hexadecimal digits.", f"{place}.sha256")
    if row["path"] and not _PATH.fullmatch(row["path"]):
        said = f"{named} has the path {row['path'][:60]!r}, which is none inside of the repository."
        raise ManifestInvalid(said, f"{place}.path")
    _check_way_back(named, row, place)


def _check_way_back(named: str, row: Mapping[str, Any], place: str) -> None:
    is_forward_only = row["class"] == MigrationClass.FORWARD_ONLY
    if not row["rollback"].strip():
        what = "how the data is restored" if is_forward_only else "how it is rolled back, or where that is written"
        raise ManifestInvalid(f"{named} has no rollback procedure: say {what}.", f"{place}.rollback")
    if is_forward_only and not row["reason"].strip():
        said = f"{named} is forward-only without a reason: say why nothing less will do."
        raise ManifestInvalid(said, f"{place}.reason")
    if row["critical"] and row["class"] == MigrationClass.REVERSIBLE:
        said = f"{named} is of critical data, which is never migrated back: it is FORWARD_COMPATIBLE or FORWARD_ONLY."
        raise ManifestInvalid(said, f"{place}.class")


def _check_fields(row: Any, fields: Mapping[str, Any], *, what: str, place: str) -> None:
    if not isinstance(row, dict) or not set(fields) - OPTIONAL <= set(row) <= set(fields):
        raise ManifestInvalid(f"Each {what} has the fields {', '.join(fields)}.", place)
    for field, example in fields.items():
        if type(row.get(field, example)) is not type(example):
            raise ManifestInvalid(f"The field {field} of a {what} is of the wrong type.", f"{place}.{field}")


def _project(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
