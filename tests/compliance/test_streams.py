"""Streams of the trail to real receivers: nothing skipped, nothing lost, whatever is killed, slow or broken."""

import base64
import datetime
import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import connection
from django.test import Client
from django.utils import timezone
from psycopg import Connection

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.compliance import actions
from apps.compliance.models import AuditStream, StreamLetter
from apps.compliance.streams import entries, run, syslog, webhook
from apps.compliance.streams.deliver import secret_of
from apps.compliance.streams.entries import Entry
from apps.compliance.streams.run import Due, Sender, see_to_streams, send
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Denied
from apps.workspaces.scope import workspace_scope
from deploy.launcher import ports
from tests.audit.test_seal import all_sealed, own, sealer, url, write
from tests.cast import NOW, Cast
from tests.processes import eventually, start_worker

__all__ = ["own", "sealer", "url"]
pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/compliance/streams/"
AN_ENTRY = Entry(
    7, UUID(int=1), datetime.datetime(2026, 11, 28, 9, 0, 0, 5, tzinfo=datetime.UTC), b'{"a":"\xc3\xbc"}',
    "release.sealed", "REFUSED",
)  # fmt: skip


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A server's key with its certificate for localhost, and the authority's PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    place = tmp_path_factory.mktemp("certificate") / "localhost.pem"
    certificate = made.public_bytes(serialization.Encoding.PEM)
    place.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate
    )
    return place, certificate.decode()


class Syslog:
    """A receiver as RFC 5425 has it, which can be told to die in the middle of what it reads."""

    def __init__(self, certificate: Path, port: int = 0) -> None:
        self.messages: list[bytes] = []
        self.dies_after: int | None = None
        self.hangs = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self.port = port or ports.free_ports(1)[0]
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self._over = False
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over = True
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        self._socket.close()
        self.hangs.set()

    def _serve(self) -> None:
        while not self._over:
            try:
                bare, _ = self._socket.accept()
                self._read(bare)
            except (OSError, ssl.SSLError):
                continue

    def _read(self, bare: socket.socket) -> None:
        if self.dies_after is not None:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with self._context.wrap_socket(bare, server_side=True) as channel:
            stream = channel.makefile("rb")
            while digits := _until_blank(stream):
                self.messages.append(stream.read(int(digits)))
                if self.dies_after is not None and len(self.messages) >= self.dies_after:
                    self.dies_after = None
                    # As a system ends a process that was killed: what it has not read is reset, not ended in order.
                    channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    return
            stream.close()
            channel.unwrap()


def _until_blank(stream: Any) -> bytes:
    digits = b""
    while (byte := stream.read(1)) not in (b"", b" "):
        digits += byte
    return digits


class Hook:
    """A real HTTP server that answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.answers: Callable[[bytes], int] = lambda body: 204
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.answers(body)
                if status == 204:
                    hook.asked.append(({key.lower(): value for key, value in self.headers.items()}, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.port = ports.free_ports(1)[0]
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def secured(self, certificate: Path) -> "Hook":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        return self

    @property
    def leaves(self) -> list[int]:
        return [entry["leaf"] for _, body in self.asked for entry in json.loads(body)["data"]["entries"]]


@pytest.fixture
def receiver(certified: tuple[Path, str]) -> Iterator[Syslog]:
    receiver = Syslog(certified[0])
    yield receiver
    receiver.close()


@pytest.fixture
def hook(certified: tuple[Path, str]) -> Iterator[Hook]:
    hook = Hook().secured(certified[0])
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture(autouse=True)
def reachable(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OUTBOUND_INTERNAL = {"platform": "127.0.0.0/8"}
    settings.STREAM_PATIENCE = datetime.timedelta(seconds=2)
    monkeypatch.setattr(run, "FIRST_PAUSE", datetime.timedelta(0))


def make(cast: Cast, kind: str, port: int, ca: str, **more: Any) -> AuditStream:
    scheme = "tls" if kind == "SYSLOG" else "https"
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return actions.create_stream(
            cast.platform, kind=kind, name="SIEM", url=f"{scheme}://localhost:{port}{'/in' * (kind == 'WEBHOOK')}",
            by=cast.devops, now=NOW, ca_pem=ca, **more,
        )  # fmt: skip


def again(stream: AuditStream) -> AuditStream:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return AuditStream.objects.select_related("workspace").get(pk=stream.pk)


def size() -> int:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return entries.stands(PLATFORM_WORKSPACE_ID)[0]


def leaves_of(messages: list[bytes]) -> list[int]:
    return [int(re.search(rb' leaf="(\d+)"', message)[1]) for message in messages]


def kinds() -> list[str]:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        found = AuditEvent.objects.filter(target_type="auditstream").order_by("recorded_at", "event_id")
        return list(found.values_list("kind", flat=True))


@pytest.mark.django_db(transaction=False)
def test_a_message_is_what_rfc_5424_says() -> None:
    assert syslog.message(AN_ENTRY, UUID(int=2), "portal.example").decode() == (
        "<108>1 2026-11-28T09:00:00.000005Z portal.example eaip-operations - release.sealed "
        '[eaip@32473 event_id="00000000-0000-0000-0000-000000000001" leaf="7" '
        'workspace="00000000-0000-0000-0000-000000000002"] {"a":"ü"}'
    )
    assert syslog.batch([AN_ENTRY, AN_ENTRY], workspace_id=UUID(int=2), host="").count(b"<108>1") == 2


@pytest.mark.django_db(transaction=False)
def test_a_signature_is_what_standard_webhooks_says() -> None:
    """The vector of the specification's own libraries."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    found = webhook.headers(
        secret, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, content=b'{"test": 2432232314}'
    )

    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_syslog_gets_every_entry_once_in_order_byte_for_byte(
    sealer: Any, own: Connection, cast: Cast, receiver: Syslog, certified: Any
) -> None:
    stream = make(cast, "SYSLOG", receiver.port, certified[1])
    write(30)
    all_sealed(sealer, own)

    while see_to_streams():
        pass

    assert leaves_of(receiver.messages) == list(range(stream.next_leaf, size()))
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        last = AuditEvent.objects.filter(kind="release.sealed").first()
    assert any(message.endswith(b"] " + bytes(last.canonical)) for message in receiver.messages)
    assert (again(stream).delivered, again(stream).next_leaf) == (len(receiver.messages), size())


def test_a_webhook_is_signed_and_gets_every_entry_once(
    sealer: Any, own: Connection, cast: Cast, hook: Hook, certified: Any
) -> None:
    stream = make(cast, "WEBHOOK", hook.port, certified[1])
    write(30)
    all_sealed(sealer, own)

    see_to_streams()

    assert hook.leaves == list(range(stream.next_leaf, size()))
    headers, body = hook.asked[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(secret_of(stream), signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_what_a_receiver_had_not_read_when_it_died_is_sent_again(
    sealer: Any, own: Connection, cast: Cast, certified: Any
) -> None:
    """Killed in the middle, started again at the same address: none lost, none skipped."""
    receiver = Syslog(certified[0])
    stream = make(cast, "SYSLOG", receiver.port, certified[1])
    write(400)
    all_sealed(sealer, own)
    receiver.dies_after = 40

    see_to_streams()
    assert again(stream).next_leaf == stream.next_leaf
    assert again(stream).detail
    receiver.close()
    see_to_streams()
    assert (again(stream).tries, again(stream).next_leaf) == (2, stream.next_leaf)
    second = Syslog(certified[0], receiver.port)
    while see_to_streams():
        pass
    second.close()

    assert leaves_of(second.messages) == list(range(stream.next_leaf, size()))
    assert (again(stream).failing_since, again(stream).tries) == (None, 0)


def test_a_slow_transaction_is_neither_skipped_nor_waited_for(
    sealer: Any, own: Connection, cast: Cast, hook: Hook, certified: Any
) -> None:
    stream = make(cast, "WEBHOOK", hook.port, certified[1])
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with workspace_scope([PLATFORM_WORKSPACE_ID]):
                audit.record("release.sealed", by=SYSTEM, target=None, summary="The slow one")
                begun.set()
                assert go_on.wait(20)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(slow)
        assert begun.wait(10)
        write(5)
        sealer.look(own)
        see_to_streams()
        go_on.set()
        late.result(20)
    all_sealed(sealer, own)
    while see_to_streams():
        pass

    assert hook.leaves == list(range(stream.next_leaf, size()))
    said = [entry["entry"]["summary"] for _, body in hook.asked for entry in json.loads(body)["data"]["entries"]]
    assert said.count("The slow one") == 1
    assert sum(summary.startswith("A test wrote") for summary in said) == 5


@pytest.mark.reliability
def test_a_killed_worker_leaves_the_cursor_and_another_goes_on(
    sealer: Any, own: Connection, cast: Cast, hook: Hook, certified: Any, redis_url: str, tmp_path: Path
) -> None:
    stream = make(cast, "WEBHOOK", hook.port, certified[1])
    write(5)
    all_sealed(sealer, own)
    clocks = {
        "STREAM_LEASE_SECONDS": "1", "ENGINE_SWEEP_SECONDS": "0.3", "OUTBOUND_INTERNAL": "platform=127.0.0.0/8",
    }  # fmt: skip
    with start_worker(tmp_path, name="first", environment=clocks | {"EAIP_CRASHPOINT": "stream_sent"}) as first:
        eventually(lambda: not first.is_running())
    assert again(stream).next_leaf == stream.next_leaf

    with start_worker(tmp_path, name="second", environment=clocks):
        eventually(lambda: again(stream).next_leaf == size())

    # Sent twice, since the first worker died before it could write down that it was taken: known by its event_id.
    assert sorted(set(hook.leaves)) == list(range(stream.next_leaf, size()))
    assert len({headers["webhook-id"] for headers, _ in hook.asked}) == 1


@pytest.mark.parametrize("way", ["refuses", "hangs", "errs", "other certificate"])
def test_a_bad_receiver_is_tried_again_later_and_the_page_says_why(
    sealer: Any, own: Connection, cast: Cast, certified: Any, client: Client, hook: Hook, settings: Any, way: str
) -> None:
    settings.STREAM_PATIENCE = datetime.timedelta(seconds=0.5)
    silent = socket.create_server(("127.0.0.1", 0))
    hook.answers = lambda body: 503
    port = {"refuses": 9, "hangs": silent.getsockname()[1]}.get(way, hook.port)
    stream = make(cast, "WEBHOOK", port, "" if way == "other certificate" else certified[1])
    write()
    all_sealed(sealer, own)

    for _ in range(run.TELL_AFTER):
        see_to_streams()

    said = {
        "refuses": "No connection", "hangs": "No answer within 0.5 s", "errs": "It answered 503",
        "other certificate": "The certificate is not good",
    }[way]  # fmt: skip
    stands = again(stream)
    assert said in stands.detail
    assert (stands.tries, stands.next_leaf, kinds().count("stream.failing")) == (3, stream.next_leaf, 1)
    client.force_login(cast.devops)
    page = client.get(f"{LIST}{stream.pk}/").content.decode()
    assert said in page
    assert "since" in page
    silent.close()


def test_an_entry_that_a_receiver_refuses_is_laid_aside_and_can_be_sent_again(
    sealer: Any, own: Connection, cast: Cast, hook: Hook, certified: Any, client: Client
) -> None:
    stream = make(cast, "WEBHOOK", hook.port, certified[1])
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        audit.record("release.sealed", by=SYSTEM, target=None, summary="Poison")
    write(4)
    all_sealed(sealer, own)
    hook.answers = lambda body: 422 if b"Poison" in body else 204

    see_to_streams()

    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        letter = StreamLetter.objects.get()
    whole = set(range(stream.next_leaf, size()))
    assert set(hook.leaves) == whole - {letter.leaf_index}
    assert kinds().count("stream.entry_refused") == 1
    hook.answers = lambda body: 204
    client.force_login(cast.devops)
    assert "It answered 422" in client.get(f"{LIST}{stream.pk}/").content.decode()
    assert client.post(f"{LIST}{stream.pk}/replay/").status_code == 302
    see_to_streams()
    assert whole <= set(hook.leaves)
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        assert StreamLetter.objects.get().replayed_at


def test_a_receiver_that_refuses_everything_loses_nothing(
    sealer: Any, own: Connection, cast: Cast, hook: Hook, certified: Any
) -> None:
    stream = make(cast, "WEBHOOK", hook.port, certified[1])
    write(3)
    all_sealed(sealer, own)
    hook.answers = lambda body: 400

    for _ in range(3):
        see_to_streams()

    assert "refuses every entry" in again(stream).detail
    assert again(stream).next_leaf == stream.next_leaf
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        assert not StreamLetter.objects.exists()


def test_it_is_paused_resumed_set_back_and_removed(
    sealer: Any, own: Connection, cast: Cast, hook: Hook, certified: Any, client: Client
) -> None:
    write(3)
    all_sealed(sealer, own)
    stream = make(cast, "WEBHOOK", hook.port, certified[1])
    assert stream.next_leaf == size()
    client.force_login(cast.devops)

    assert client.post(f"{LIST}{stream.pk}/pause/").status_code == 302
    assert client.post(f"{LIST}{stream.pk}/pause/").status_code == 409
    long_ago = (timezone.now() - datetime.timedelta(days=400)).strftime("%Y-%m-%dT%H:%M")
    assert client.post(f"{LIST}{stream.pk}/beginning/", {"since": long_ago}).status_code == 302
    assert client.post(f"{LIST}{stream.pk}/beginning/", {"since": "soon"}).status_code == 422
    see_to_streams()
    assert hook.asked == []
    assert client.post(f"{LIST}{stream.pk}/resumption/").status_code == 302
    see_to_streams()
    assert hook.leaves == list(range(size()))
    assert client.post(f"{LIST}{stream.pk}/removal/").status_code == 302
    assert client.post(f"{LIST}{stream.pk}/resumption/").status_code == 409
    assert [kind.split(".")[1] for kind in kinds()] == ["created", "paused", "rewound", "resumed", "removed"]


def test_of_two_senders_one_sends_and_who_was_set_back_moves_nothing(
    sealer: Any, own: Connection, cast: Cast, hook: Hook, certified: Any
) -> None:
    """The race: set back on another connection while a batch is under way."""
    stream = make(cast, "WEBHOOK", hook.port, certified[1])
    write(3)
    all_sealed(sealer, own)
    due = Due(PLATFORM_WORKSPACE_ID, stream.pk)
    first, second = Sender(due, UUID(int=1)), Sender(due, UUID(int=2))
    assert first.taken()
    assert not second.taken()

    def set_back(body: bytes) -> int:
        _apart(lambda: _rewind(stream, cast))
        hook.answers = lambda body: 204
        return 204

    hook.answers = set_back
    with pytest.raises(run.Lost):
        _apart(first.send_batch)

    assert again(stream).next_leaf == 0
    _apart(lambda: send(due))
    assert sorted(set(hook.leaves)) == list(range(size()))


def test_another_database_server_gets_the_last_day_again(
    sealer: Any, own: Connection, cast: Cast, hook: Hook, certified: Any
) -> None:
    stream = make(cast, "WEBHOOK", hook.port, certified[1])
    write(3)
    all_sealed(sealer, own)
    see_to_streams()
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        AuditStream.objects.filter(pk=stream.pk).update(server="another/00000001")
    hook.asked.clear()

    see_to_streams()

    assert hook.leaves == list(range(size()))
    assert kinds().count("stream.rewound") == 1


def test_only_who_manages_the_workspace_sees_and_changes_streams(client: Client, cast: Cast, certified: Any) -> None:
    stream = make(cast, "SYSLOG", 6514, certified[1])
    for person, status in ((cast.auditor, 403), (cast.outsider, 404)):
        client.force_login(person)
        assert client.get(f"{LIST}{stream.pk}/").status_code == status
        assert client.post(f"{LIST}{stream.pk}/pause/").status_code == status
    with workspace_scope([PLATFORM_WORKSPACE_ID]), pytest.raises(Denied):
        actions.pause_stream(stream, by=cast.auditor)


def test_a_receiver_that_may_not_be_reached_is_not_kept(client: Client, cast: Cast, settings: Any) -> None:
    settings.OUTBOUND_INTERNAL = {}
    client.force_login(cast.devops)
    for asked, said in (
        ({"kind": "WEBHOOK", "url": "http://siem.example/"}, "begins with https"),
        ({"kind": "WEBHOOK", "url": "https://169.254.169.254/"}, "never asked"),
        ({"kind": "SYSLOG", "url": "tls://10.0.0.1:6514"}, "a private network"),
        ({"kind": "SYSLOG", "url": "tls://siem.example:22"}, "Port 22"),
        ({"kind": "SYSLOG", "url": "tls://siem.example", "ca_pem": "nonsense"}, "is no certificate"),
    ):
        answer = client.post(LIST, {"workspace": str(cast.platform.pk), "name": "SIEM", **asked})

        assert (answer.status_code, said in answer.content.decode()) == (422, True), said
    assert kinds() == []


def _rewind(stream: AuditStream, cast: Cast) -> None:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        long_ago = timezone.now() - datetime.timedelta(days=400)
        actions.rewind_stream(stream, since=long_ago, by=cast.devops)


def _apart(work: Callable[[], object]) -> None:
    """Do it in a thread of its own, on another connection: in a test's own thread a browser's loop may run."""

    def done() -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(done).result(20)
