"""The Python package index, by its simple JSON interface (PEP 691), which mirrors speak too."""

import base64
import configparser
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
PUBLIC_INDEX = "https://pypi.org/simple/"
_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


class IndexProblem(Exception):
    pass


class IndexUnreachable(IndexProblem):
    pass


class NotFound(IndexProblem):
    pass


@dataclass(frozen=True, slots=True)
class IndexFile:
    filename: str
    url: str
    sha256: str | None
    size: int | None
    uploaded_at: datetime | None
    requires_python: str | None
    yanked: bool


class PackageIndex:
    def __init__(self, url: str, *, timeout: float = 15.0) -> None:
        self.url, self.timeout = url.rstrip("/") + "/", timeout

    def files(self, project: str) -> dict[str, IndexFile]:
        """Return the files of a project by name.

        Raises NotFound: the index doesn't know the project. Raises IndexUnreachable: no usable answer came.
        """
        if not _PROJECT.fullmatch(project):
            raise NotFound(f"Not a name of a project: {project!r}")
        address = urllib.parse.urljoin(self.url, re.sub(r"[-_.]+", "-", project).lower() + "/")
        body = b"".join(self._get(address, accept=SIMPLE_JSON, what=project))
        try:
            rows = json.loads(body)["files"]
            return {row["filename"]: _file(row, address) for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise IndexUnreachable("The package index doesn't speak the simple JSON interface (PEP 691).") from error

    def chunks(self, file: IndexFile) -> Iterator[bytes]:
        """Yield a file's content. Whoever stores it checks digest and size."""
        return self._get(file.url, accept="*/*", what=file.filename)

    def _get(self, address: str, *, accept: str, what: str) -> Iterator[bytes]:
        request = _request(address, accept)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:  # noqa: S310  see _request
                while chunk := answer.read(1 << 18):
                    yield chunk
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 410):
                raise NotFound(f"The package index doesn't have {what}.") from error
            raise IndexUnreachable(f"The package index answered {error.code} for {what}.") from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise IndexUnreachable(f"The package index can't be reached for {what}: {reason}.") from error


def index_url(environment: Mapping[str, str] = os.environ) -> str:
    """Return the index that pip would use here, so that a mirror configured for pip serves the portal too."""
    for name in ("EAIP_PACKAGE_INDEX", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if environment.get(name):
            return environment[name]
    home = Path(environment.get("HOME", "/nonexistent"))
    folders = [Path(sys.prefix), home / ".config/pip", home / ".pip", Path("/etc/xdg/pip"), Path("/etc")]
    files = [Path(environment[name]) for name in ("PIP_CONFIG_FILE",) if environment.get(name)]
    for path in [*files, *(folder / "pip.conf" for folder in folders)]:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path)
        except (configparser.Error, UnicodeDecodeError):
            continue
        if url := parser.get("global", "index-url", fallback=""):
            return url
    return PUBLIC_INDEX


def _request(address: str, accept: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https"):
        raise IndexUnreachable("The package index must be an http or https address.")
    headers = {"Accept": accept, "User-Agent": "eaip-operations"}
    if parts.username:
        secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return urllib.request.Request(parts.geturl(), headers=headers)  # noqa: S310  checked above


def _file(row: Mapping[str, Any], base: str) -> IndexFile:
    uploaded = row.get("upload-time")
    return IndexFile(
        filename=row["filename"],
        url=urllib.parse.urljoin(base, row["url"]),
        sha256=row.get("hashes", {}).get("sha256"),
        size=row.get("size"),
        uploaded_at=datetime.fromisoformat(uploaded) if uploaded else None,
        requires_python=row.get("requires-python"),
        yanked=bool(row.get("yanked")),
    )
