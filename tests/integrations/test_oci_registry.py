"""Asking registries: the real docker-registry for what is there, and a small server of ours for what tokens may do."""

import base64
import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.integrations.oci_registry import Away, Differs, Gone, Reference, Registries
from apps.integrations.outbound_addresses import Policy, inside
from tests import registry

HERE = Policy(frozenset({443}), inside(["127.0.0.0/8"]))


def test_the_real_registry_is_believed_by_what_it_gives(tmp_path: Path) -> None:
    with registry.started(tmp_path) as real:
        first = real.push("shop/orders", "1.0.0", "first")
        moved = Reference(real.host, "shop/orders", first, "1.0.0")
        pinned = dataclasses.replace(moved, tag="")
        unknown = dataclasses.replace(moved, repository="shop/other")

        Registries(HERE).verify([moved, pinned])
        second = real.push("shop/orders", "1.0.0", "second")

        with pytest.raises(Differs, match=f"gives {second} for {real.host}/shop/orders:1.0.0@{first}"):
            Registries(HERE).verify([moved])
        Registries(HERE).verify([pinned])
        real.delete("shop/orders", first)
        for gone in (pinned, unknown):
            with pytest.raises(Gone, match="is not in its registry any more"):
                Registries(HERE).verify([gone])


def test_the_real_registry_asks_who_is_there(tmp_path: Path) -> None:
    secret = tmp_path / "reader.json"
    secret.write_text(json.dumps({"username": "reader", "password": "a password"}))
    with registry.started(tmp_path, closed=True) as real:
        reference = Reference(real.host, "shop/orders", real.push("shop/orders", "1.0.0", "first"))

        Registries(HERE, {real.host: secret}).verify([reference])
        with pytest.raises(Away, match="does not let the portal read shop/orders"):
            Registries(HERE).verify([reference])
        secret.write_text(json.dumps({"username": "reader", "password": "another"}))
        with pytest.raises(Away, match="answered 401"):
            Registries(HERE, {real.host: secret}).verify([reference])
        secret.write_text("{}")
        with pytest.raises(Away, match=r"reader\.json is not a readable file"):
            Registries(HERE, {real.host: secret}).verify([reference])


class Handler(BaseHTTPRequestHandler):
    """A FAKE registry and its token service, after the published Token Authentication Specification; nothing else."""

    said: dict[str, Any]

    def do_GET(self) -> None:
        parts, authorization = urlsplit(self.path), self.headers.get("Authorization", "")
        self.said["asked"].append((parts.path, authorization))
        headers, body, status = {}, b"{}", self.said.get("status", 200)
        if parts.path == "/token":
            scope = parse_qs(parts.query)
            body = json.dumps(self.said.get("token", {"access_token": f"for {scope['scope'][0]}"})).encode()
        elif authorization != "Bearer for repository:shop/orders:pull":
            realm = self.said["realm"] or f"http://{self.headers['Host']}/token"
            status, headers = 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="registry"'}
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def served(**said: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    told = {"asked": [], "realm": ""} | said
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Said", (Handler,), {"said": told}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}


def test_a_token_is_asked_for_and_used(tmp_path: Path) -> None:
    secret = tmp_path / "reader.json"
    secret.write_text(json.dumps({"username": "reader", "password": "word"}))
    with served() as (host, told):
        Registries(HERE, {host: secret}).verify([Reference(host, "shop/orders", EMPTY)])

    basic = "Basic " + base64.b64encode(b"reader:word").decode()
    manifest = f"/v2/shop/orders/manifests/{EMPTY}"
    assert told["asked"] == [
        (manifest, ""), ("/token", basic), (manifest, "Bearer for repository:shop/orders:pull"),
    ]  # fmt: skip


@pytest.mark.parametrize("is_named", [False, True])
def test_a_password_goes_to_another_host_only_where_its_file_says_so(tmp_path: Path, is_named: bool) -> None:
    secret = tmp_path / "reader.json"
    with served() as (elsewhere, theirs):
        realm = f"http://localhost:{elsewhere.rpartition(':')[2]}/token"
        named = {"realm": realm} if is_named else {}
        secret.write_text(json.dumps({"username": "reader", "password": "word"} | named))
        with served(realm=realm) as (host, _):
            Registries(HERE, {host: secret}).verify([Reference(host, "shop/orders", EMPTY)])

    assert [bool(authorization) for _, authorization in theirs["asked"]] == [is_named]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"realm": "http://registry.example.com/token"}, "by https only"),
        ({"realm": "https://10.0.0.1/token"}, "a private network"),
        ({"realm": "nonsense"}, "is not asked"),
        ({"token": {"token": "a\r\nHost: b"}}, "gives no token"),
        ({"token": {"token": 7}}, "gives no token"),
        ({"token": [1]}, "gives no token"),
        ({"status": 429}, "gives no token"),
    ],
)
def test_a_token_service_that_plays_tricks_gets_nothing(said: dict[str, Any], why: str) -> None:
    with served(**said) as (host, _), pytest.raises(Away, match=why):
        Registries(HERE).verify([Reference(host, "shop/orders", EMPTY)])


def test_what_is_definite_is_said_first() -> None:
    with served() as (host, _):
        away = Reference("registry.invalid", "a/b", EMPTY)
        with pytest.raises(Differs):
            Registries(HERE).verify([away, Reference(host, "shop/orders", "sha256:" + "0" * 64)])
        with pytest.raises(Away, match=r"registry\.invalid does not answer"):
            Registries(HERE).verify([away, Reference(host, "shop/orders", EMPTY)])


def test_no_address_is_asked_that_the_workspace_may_not_reach() -> None:
    with served() as (host, told), pytest.raises(Away, match="this machine itself"):
        Registries(Policy(frozenset({443}))).verify([Reference(host, "shop/orders", EMPTY)])

    assert told["asked"] == []


def test_short_names_of_docker_are_found_where_its_registry_is() -> None:
    asked: list[str] = []

    async def resolver(host: str, _: int) -> list[str]:
        asked.append(host)
        return []

    with pytest.raises(Away, match=r"docker\.io does not answer"):
        Registries(HERE, resolver=resolver).verify([Reference("docker.io", "nginx", EMPTY)])
    assert asked == ["registry-1.docker.io"]
