"""The real docker-registry of Debian as a child of a test, and what is pushed to it as clients push."""

import base64
import contextlib
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from deploy.launcher import ports, processes
from deploy.launcher.processes import Program
from tests import debian
from tests.engines import wait_until
from tests.processes import Child

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# `reader` with the password `a password`, as `htpasswd -B` writes it.
READERS = "reader:$2b$04$YXkkc4p51ABc66MUa9kkG.qiK5PaVVmv1H4OBSdIcjxCELneOeOya\n"
CONFIGURATION = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/blobs}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}", secret: of a test}}
"""


@dataclass(frozen=True)
class Registry:
    host: str
    authorization: str = ""

    def push(self, repository: str, tag: str, word: str) -> str:
        """Push an image that differs by a word; return the digest of its manifest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "author": word}).encode()
        self._blob(repository, config)
        row = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config)}
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": row | {"digest": _digest(config)},
                "layers": [],
            }
        ).encode()
        self._ask("PUT", f"/v2/{repository}/manifests/{tag}", manifest, MANIFEST)
        return _digest(manifest)

    def delete(self, repository: str, digest: str) -> None:
        self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")

    def _blob(self, repository: str, content: bytes) -> None:
        place = self._ask("POST", f"/v2/{repository}/blobs/uploads/", b"")
        path = place.removeprefix(f"http://{self.host}")
        self._ask("PUT", f"{path}&digest={_digest(content)}", content, "application/octet-stream")

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> str:
        headers = {"Content-Type": kind} if kind else {}
        if self.authorization:
            headers["Authorization"] = self.authorization
        request = urllib.request.Request(f"http://{self.host}{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers.get("Location", ""))


@contextmanager
def started(folder: Path, *, closed: bool = False) -> Iterator[Registry]:
    """Start a registry on a free port; skip the test where the program is not. `closed`: it asks who is there."""
    executable = shutil.which("docker-registry")
    if executable is None:
        pytest.skip(f"docker-registry is missing: sudo {' '.join(debian.command('docker-registry'))}")
    port = ports.free_ports(1)[0]
    text = CONFIGURATION.format(folder=folder, port=port)
    if closed:
        (folder / "readers").write_text(READERS)
        text += f"auth: {{htpasswd: {{realm: test, path: {folder}/readers}}}}\n"
    (folder / "config.yml").write_text(text)
    command = (executable, "serve", str(folder / "config.yml"))
    program = Program(name="docker-registry", command=command, environment={"PATH": "/usr/bin"}, stop_seconds=10)
    log, host = folder / "registry.log", f"127.0.0.1:{port}"
    with Child(program=program, process=processes.spawn(program, log), log=log) as child:
        wait_until(lambda: _answers(host), process=child.process, log=log, limit_seconds=20)
        word = "Basic " + base64.b64encode(b"reader:a password").decode() if closed else ""
        yield Registry(host, word)


def _answers(host: str) -> bool:
    with contextlib.suppress(urllib.error.HTTPError, OSError):
        urllib.request.urlopen(f"http://{host}/", timeout=1).close()
        return True
    return False


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"
