"""A FAKE OCI registry that only gives: enough of the distribution API for `helm pull` by digest. Nothing can be pushed.

Why a fake: no package index carries a registry; what `helm pull` asks was read from its requests.
"""

import json
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


class FakeRegistry:
    def __init__(self) -> None:
        self.blobs: dict[str, tuple[str, bytes]] = {}
        self.asked = 0

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"registry": self}))
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def keep(self, name: str, version: str, archive: bytes) -> str:
        """Hold a chart; return the reference that names it by the digest of its manifest."""
        config = json.dumps({"name": name, "version": version, "apiVersion": "v2"}).encode()
        row = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self._put(CONFIG, config)}
        manifest = self._put(MANIFEST, json.dumps(row | {"layers": [self._put(CHART, archive)]}).encode())
        return f"oci://127.0.0.1:{self.server.server_port}/charts/{name}@{manifest['digest']}"

    def _put(self, media_type: str, content: bytes) -> dict[str, object]:
        digest = f"sha256:{sha256(content).hexdigest()}"
        self.blobs[digest] = (media_type, content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.registry.asked += 1
        digest = self.path.rpartition("/")[2]
        found = ("application/json", b"{}") if self.path == "/v2/" else self.registry.blobs.get(digest)
        kind, content = found or ("application/json", b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if found and digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
