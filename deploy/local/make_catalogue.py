"""Writes `catalogue.json`: the demonstration's services, their versions and the hash-locked wheels of each.

Run it from the root of the clone, with the network: `python -m deploy.local.make_catalogue`. Names, dates, digests and
sizes come from the package index, notes from the changelog that the package itself carries. Nothing is invented.
"""

import io
import json
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from email.parser import Parser
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename
from uv import find_uv_bin

from apps.deployments.executors.manifest import Wheel, digest_of
from apps.integrations.package_index import IndexFile, PackageIndex, index_url

CATALOGUE = Path(__file__).with_name("catalogue.json")
PYTHONS = ("cp311", "cp312", "cp313", "cp314")
PLATFORM = re.compile(r"manylinux.*_(x86_64|aarch64)$")
NOTE_LINES, NOTE_LENGTH = 8, 240
CHANGELOG = re.compile(r"^[^/]+/(CHANGE|HISTORY|NEWS)[^/]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Service:
    slug: str
    name: str
    plane: str
    program: str
    health_path: str
    versions: tuple[str, ...]
    """Oldest first."""
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a version needs and doesn't declare: before this version, these requirements too."""


# The older versions import pkg_resources, which setuptools has dropped, and leave its declaration to the reader.
OLD_SETUPTOOLS = ("setuptools<80",)
SERVER = "waitress==3.0.2"
SERVICES = (
    Service(
        slug="package-index",
        name="Package index",
        plane="control",
        program="pypiserver",
        health_path="/health",
        versions=("1.5.2", "2.0.1", "2.1.1", "2.2.0", "2.3.0", "2.3.2", "2.4.0", "2.4.1", "2.4.2"),
        beside={"2.4.0": OLD_SETUPTOOLS},
    ),
    Service(
        slug="calendar",
        name="Calendar",
        plane="data",
        program="radicale",
        health_path="/.web/",
        versions=("2.1.12", "3.0.6", "3.1.9", "3.6.1", "3.7.7", "3.7.8", "3.8.0", "3.8.1"),
        beside={"3.5.0": OLD_SETUPTOOLS},
    ),
    Service(
        slug="file-share",
        name="File share",
        plane="data",
        program="wsgidav",
        health_path="/",
        versions=("3.1.1", "4.0.1", "4.0.2", "4.1.0", "4.2.0", "4.3.3", "4.3.4", "4.3.5"),
    ),
)


def main() -> None:
    index = PackageIndex(index_url())
    known: dict[str, dict[str, IndexFile]] = {}

    def files(project: str) -> dict[str, IndexFile]:
        if project not in known:
            known[project] = index.files(project)
        return known[project]

    services = []
    for service in SERVICES:
        versions = []
        for version in service.versions:
            print(service.program, version)
            wheels = [asdict(wheel) for pin in pins(service, version) for wheel in wheels_for(pin, files)]
            own = next(wheel for wheel in wheels if wheel["name"] == service.program)
            released = files(service.program)[own["filename"]].uploaded_at
            manifest = {"program": service.program, "wheels": sorted(wheels, key=lambda row: str(row["filename"]))}
            versions.append(
                {
                    "version": version,
                    "digest": digest_of(manifest["wheels"]),
                    "released_at": released.isoformat() if released else None,
                    **metadata(b"".join(index.chunks(files(service.program)[own["filename"]]))),
                    **notes(index, files(service.program), service.program, version),
                    "manifest": manifest,
                }
            )
        services.append({name: getattr(service, name) for name in IDENTITY} | {"versions": versions})
    CATALOGUE.write_text(json.dumps({"services": services}, indent=1, ensure_ascii=False) + "\n")


IDENTITY = ("slug", "name", "plane", "program", "health_path")


def pins(service: Service, version: str) -> list[Requirement]:
    """Return the exact versions that a version and its server need, resolved for every supported Python at once."""
    wanted = [f"{service.program}=={version}", SERVER]
    for before, requirements in service.beside.items():
        if _order(version) < _order(before):
            wanted += requirements
    answer = subprocess.run(
        [
            *(find_uv_bin(), "pip", "compile", "-", "--quiet", "--universal", "--python-version", "3.11"),
            *("--no-header", "--no-annotate", "--only-binary", ":all:"),
        ],
        input="\n".join(wanted),
        text=True,
        capture_output=True,
        check=True,
    )
    lines = (line.partition("#")[0].strip() for line in answer.stdout.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def wheels_for(pin: Requirement, files: Any) -> Iterable[Wheel]:
    """Yield the wheels of a pinned project: the one for every machine, else those for the supported ones."""
    version = next(iter(pin.specifier)).version
    for file in files(pin.name).values():
        if not file.filename.endswith(".whl"):
            continue
        _name, found, _build, tags = parse_wheel_filename(file.filename)
        if str(found) != version:
            continue
        fits = any(
            tag.platform == "any"
            or (tag.interpreter in PYTHONS and tag.abi == tag.interpreter and PLATFORM.match(tag.platform))
            for tag in tags
        )
        if fits and file.sha256 and file.size:
            marker = str(pin.marker) if pin.marker and "win32" not in str(pin.marker) else ""
            yield Wheel(pin.name, version, file.filename, file.sha256, file.size, marker)


def metadata(wheel: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as bundle:
        name = next(name for name in bundle.namelist() if name.endswith(".dist-info/METADATA"))
        header = Parser().parsestr(bundle.read(name).decode(), headersonly=True)
    urls = dict(entry.split(", ", 1) for entry in header.get_all("Project-URL", []))
    homepage = header.get("Home-page") or next((url for name, url in urls.items() if name.lower() == "homepage"), None)
    changelog = next((url for name, url in urls.items() if "change" in name.lower()), None)
    return {"summary": header.get("Summary", ""), "homepage": homepage, "changelog_url": changelog}


def notes(index: PackageIndex, files: Mapping[str, IndexFile], program: str, version: str) -> dict[str, Any]:
    """Return the lines that the changelog in the package's source archive has about this version."""
    name = next((name for name in files if re.fullmatch(rf"{program}-{re.escape(version)}\.tar\.gz", name, re.I)), None)
    if name is None:
        return {"notes": [], "notes_source": None}
    with tarfile.open(fileobj=io.BytesIO(b"".join(index.chunks(files[name])))) as bundle:
        for member in bundle:
            if member.isfile() and CHANGELOG.match(member.name):
                source = bundle.extractfile(member)
                text = source.read().decode("utf-8", "replace") if source else ""
                if lines := section(text, version):
                    return {"notes": lines, "notes_source": f"{Path(member.name).name} in {name}"}
    return {"notes": [], "notes_source": None}


def section(text: str, version: str) -> list[str]:
    """Return the entries under the heading that names a version, markup taken off, cut to a readable length."""
    lines, inside = [], False
    for line in text.splitlines():
        named = re.match(r"^\W*v?(?:ersion )?(\d+\.\d+(?:\.\d+)?)\b", line)
        if named and not re.match(r"^\s*[-*+] ", line):
            if inside:
                break
            inside = named[1] == version
            continue
        plain = re.sub(r"^[\s*+-]+", "", line).strip()
        if inside and plain and not re.fullmatch(r"[-=~#\s]+", plain) and not plain.startswith("#"):
            lines.append(plain[:NOTE_LENGTH])
    return lines[:NOTE_LINES]


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    main()
