"""A mirror of the package index on this machine, filled with the real files before the tests start.

Tests may talk to this machine alone, so a child process fetches what they need, once; later runs find it in the cache.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from apps.deployments.executors.contract import ReleaseRef
from apps.deployments.executors.manifest import Wheel, needed_here, wheels_of
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.package_index import SIMPLE_JSON, PackageIndex, index_url
from deploy.launcher.paths import ROOT

CATALOGUE = ROOT / "deploy" / "local" / "catalogue.json"
CACHE = ROOT / ".pytest_cache" / "wheels"


def release(program: str, version: str) -> ReleaseRef:
    """Return a version of the demonstration's catalogue."""
    services = json.loads(CATALOGUE.read_text())["services"]
    rows = next(service["versions"] for service in services if service["program"] == program)
    row = next(row for row in rows if row["version"] == version)
    return ReleaseRef(version, row["digest"], row["manifest"])


def fetch(wanted: Iterable[tuple[str, str]]) -> None:
    """Bring what these versions need on this machine into the cache. Needs the network for what is missing."""
    index, store = PackageIndex(index_url()), ArtifactStore(CACHE)
    for wheel in {wheel for program, version in wanted for wheel in needed_here(wheels_of(release(program, version)))}:
        if not store.has(wheel.sha256):
            file = index.files(wheel.name)[wheel.filename]
            store.put(index.chunks(file), sha256=wheel.sha256, size=wheel.size)


@dataclass
class Mirror:
    """Speaks PEP 691 for the fetched files. `lies` gives a file another digest, as an index that was tampered with."""

    wheels: dict[str, Wheel] = field(default_factory=dict)
    lies: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    asked: int = 0
    store: ArtifactStore = field(default_factory=lambda: ArtifactStore(CACHE))

    @classmethod
    def of(cls, *wanted: tuple[str, str]) -> Self:
        rows = [f"{program}=={version}" for program, version in wanted]
        fetched = subprocess.run(
            [sys.executable, "-m", "tests.mirror", *rows], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert fetched.returncode == 0, f"What the tests need can't be fetched: {fetched.stderr[-2000:]}"
        wheels = [wheel for name, version in wanted for wheel in needed_here(wheels_of(release(name, version)))]
        return cls(wheels={wheel.filename: wheel for wheel in wheels})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/simple/"

    def __enter__(self) -> Self:
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked += 1
                found = mirror.answer(self.path)
                self.send_response(200 if found else 404)
                kind, body = found or ("text/plain", b"")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, path: str) -> tuple[str, bytes] | None:
        kind, name = path.strip("/").split("/", 1)
        if kind == "files":
            wheel = self.wheels.get(name)
            return ("application/octet-stream", self.store.path(wheel.sha256).read_bytes()) if wheel else None
        rows = [
            self.row(wheel) for wheel in self.wheels.values() if wheel.name == name and wheel.filename not in self.gone
        ]
        return (SIMPLE_JSON, json.dumps({"meta": {"api-version": "1.1"}, "files": rows}).encode()) if rows else None

    def row(self, wheel: Wheel) -> dict[str, Any]:
        digest = self.lies.get(wheel.filename, wheel.sha256)
        return {
            "filename": wheel.filename,
            "url": f"../../files/{wheel.filename}",
            "hashes": {"sha256": digest},
            "size": wheel.size,
            "yanked": False,
        }


if __name__ == "__main__":
    fetch((row.split("==")[0], row.split("==")[1]) for row in sys.argv[1:])
