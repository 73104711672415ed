"""The manifest of a release: the program and the hash-locked wheels that make it, with one digest over all of them."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from apps.deployments.executors.contract import ArtifactRejected, ReleaseRef

INDEX, BUILD = "index", "build"
_PROGRAM = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")


@dataclass(frozen=True, slots=True)
class Wheel:
    name: str
    version: str
    filename: str
    sha256: str
    size: int
    marker: str = ""
    """When it is needed, as PEP 508 says it; empty: always."""
    source: str = INDEX
    """`index`: the package index vouches for it. `build`: made here from a commit."""


def digest_of(wheels: list[Mapping[str, Any]]) -> str:
    """Return `sha256:<hex>` over the canonical JSON of a manifest's wheels, in the order of their file names."""
    rows = sorted((asdict(Wheel(**row)) for row in wheels), key=lambda row: row["filename"])
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def wheels_of(release: ReleaseRef) -> tuple[Wheel, ...]:
    """Return all wheels of a release. Raises ArtifactRejected: malformed, or another digest than the release's."""
    try:
        wheels = tuple(Wheel(**row) for row in release.manifest["wheels"])
        digest = digest_of(release.manifest["wheels"])
        _require_name(program_of(release))
        for wheel in wheels:
            _require_same_project(wheel)
    except (KeyError, TypeError, ValueError, InvalidWheelFilename) as error:
        raise ArtifactRejected(f"The manifest of {release.version} can't be read: {error}.") from error
    if digest != release.digest:
        raise ArtifactRejected(
            f"The manifest of {release.version} has the digest {digest[:19]}, the release was sealed with "
            f"{release.digest[:19]}."
        )
    return wheels


def needed_here(wheels: tuple[Wheel, ...]) -> tuple[Wheel, ...]:
    """Return one wheel for each project that this machine needs, the best that fits it.

    Raises ArtifactRejected: a project has no wheel for this machine.
    """
    wheels = tuple(wheel for wheel in wheels if _applies(wheel))
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    chosen: dict[str, tuple[int, Wheel]] = {}
    wanted: dict[str, Wheel] = {}
    for wheel in wheels:
        project = canonicalize_name(wheel.name)
        wanted.setdefault(project, wheel)
        fitting = [ranks[tag] for tag in parse_wheel_filename(wheel.filename)[3] if tag in ranks]
        if fitting and (project not in chosen or min(fitting) < chosen[project][0]):
            chosen[project] = (min(fitting), wheel)
    for name, wheel in wanted.items():
        if name not in chosen:
            raise ArtifactRejected(f"{wheel.name} {wheel.version} has no wheel for this machine.")
    return tuple(wheel for _rank, wheel in chosen.values())


def program_of(release: ReleaseRef) -> str:
    return str(release.manifest["program"])


def program_wheel(release: ReleaseRef) -> Wheel:
    """Return the wheel of the program itself. Raises ArtifactRejected: the manifest has none."""
    program = canonicalize_name(program_of(release))
    for wheel in wheels_of(release):
        if canonicalize_name(wheel.name) == program:
            return wheel
    raise ArtifactRejected(f"The manifest of {release.version} has no wheel of {program}.")


def _applies(wheel: Wheel) -> bool:
    try:
        return not wheel.marker or Marker(wheel.marker).evaluate()
    except InvalidMarker as error:
        raise ArtifactRejected(f"{wheel.filename}: {error}") from error


def _require_name(program: str) -> None:
    if not _PROGRAM.fullmatch(program):
        raise ValueError(f"not a name of a program: {program!r}")


def _require_same_project(wheel: Wheel) -> None:
    project, version, *_ = parse_wheel_filename(wheel.filename)
    if project != canonicalize_name(wheel.name) or str(version) != wheel.version:
        raise ValueError(f"{wheel.filename} is not {wheel.name} {wheel.version}")
    if len(wheel.sha256) != 64 or wheel.size <= 0:
        raise ValueError(f"{wheel.filename} has no digest or size")
