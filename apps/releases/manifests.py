"""What a release is made of: the program and the hash-locked wheels that it needs. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from apps.core.canonical import sha256_of

WHEEL_FIELDS = {"name": "", "version": "", "filename": "", "sha256": "", "size": 0, "marker": "", "source": "index"}
OPTIONAL = {"marker", "source"}
MOST_WHEELS = 500

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_FILENAME = re.compile(r"[A-Za-z0-9._+!-]{1,200}\.whl")


class ManifestInvalid(ValueError):
    """Not a manifest that could be deployed."""


def digest_of(manifest: Mapping[str, Any]) -> str:
    """This function will return `sha256:<hex>` over the canonical JSON of the wheels, in the order of file names."""
    rows = [{field: row.get(field, default) for field, default in WHEEL_FIELDS.items()} for row in manifest["wheels"]]
    return "sha256:" + sha256_of(sorted(rows, key=lambda row: row["filename"]))


def size_of(manifest: Mapping[str, Any]) -> int:
    """This function will return the bytes of all wheels."""
    return sum(row["size"] for row in manifest["wheels"])


def check(manifest: Any, *, program: str) -> None:
    """This function will refuse what is not a manifest of the program.

    Raises ManifestInvalid: with the first thing that is wrong with it.
    """
    if not isinstance(manifest, dict) or set(manifest) != {"program", "wheels"}:
        raise ManifestInvalid("A manifest has exactly two fields: program and wheels.")
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
    if not isinstance(row, dict) or not set(WHEEL_FIELDS) - OPTIONAL <= set(row) <= set(WHEEL_FIELDS):
        raise ManifestInvalid(f"Each wheel has the fields {', '.join(WHEEL_FIELDS)}.")
    for field, example in WHEEL_FIELDS.items():
        value = row.get(field, example)
        if type(value) is not type(example):
            raise ManifestInvalid(f"The field {field} of a wheel is of the wrong type.")
    if not _FILENAME.fullmatch(row["filename"]):
        raise ManifestInvalid(f"{row['filename'][:60]!r} is not the file name of a wheel.")
    if not _SHA256.fullmatch(row["sha256"]) or row["size"] <= 0 or not _NAME.fullmatch(row["name"]):
        raise ManifestInvalid(f"{row['filename']} has no SHA-256, no size or no name.")
    if row.get("source", "index") not in {"index", "build"}:
        raise ManifestInvalid(f"{row['filename']} comes from neither the index nor a build.")


def _project(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
