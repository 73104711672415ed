import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.integrations.json_api import ApiProblem, JsonApi, NoAnswer, Refused, TooMany
from tests.fakes.json_server import Answer, Asked, JsonServer


class Echo(JsonServer):
    def answer(self, asked: Asked) -> object:
        return {"method": asked.method, "path": asked.path, "query": asked.query, "body": asked.body}


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as running:
        yield running


@pytest.fixture
def api(echo: Echo, tmp_path: Path) -> JsonApi:
    return JsonApi(echo.connection(tmp_path / "connection.json"))


def test_what_is_asked_comes_through_and_the_answer_back(api: JsonApi) -> None:
    assert api.ask("POST", "/a", query={"b": "c d"}, body={"e": 1}) == {
        "method": "POST", "path": "/a", "query": {"b": "c d"}, "body": {"e": 1},
    }  # fmt: skip


def test_a_token_is_renewed_by_writing_the_file(api: JsonApi, echo: Echo) -> None:
    echo.token = "renewed"
    with pytest.raises(Refused, match="renew it there"):
        api.ask("GET", "/a")

    api.path.write_text(json.dumps(json.loads(api.path.read_text()) | {"token": "renewed"}))

    assert api.ask("GET", "/a")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "not a readable file"),
        ("[]", "not a readable file"),
        ('{"url": "https://a.example.test"}', "not a readable file"),
        ('{"url": "http://a.example.test", "token": "x"}', "https only"),
        ('{"url": "http://127.0.0.1.example.test", "token": "x"}', "https only"),
        ('{"url": "ftp://127.0.0.1", "token": "x"}', "https only"),
    ],
)
def test_a_file_that_is_no_connection_is_refused_with_the_reason(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "connection.json"
    path.write_text(text)

    with pytest.raises(ApiProblem, match=wrong):
        JsonApi(path).ask("GET", "/")


def test_a_redirect_gets_no_token(api: JsonApi, echo: Echo) -> None:
    echo.refuse("GET /a", Answer(302, None, location="/b"))

    with pytest.raises(Refused, match="302"):
        api.ask("GET", "/a")

    assert [asked.path for asked in echo.asked] == ["/a"]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(404, {"message": "no such thing"}), Refused, "no such thing"),
        (Answer(400, {"error": "busy", "code": 9}), Refused, "busy"),
        (Answer(403, {"message": "not yours"}), Refused, "not yours"),
        (Answer(502, None), NoAnswer, "502"),
        (Answer(429, None, retry_after="7"), TooMany, "for 7 s"),
        (Answer(429, None), TooMany, "for 60 s"),
        (Answer(403, None, x_ratelimit_remaining="0", x_ratelimit_reset="1"), TooMany, "for 1 s"),
        (Answer(429, None, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), TooMany, "for 60 s"),
    ],
)
def test_a_no_is_told_apart_from_no_answer(
    api: JsonApi, echo: Echo, answer: Answer, error: type[ApiProblem], said: str
) -> None:
    echo.refuse("GET", answer)

    with pytest.raises(error, match=said):
        api.ask("GET", "/a")


def test_an_answer_that_is_cut_off_may_have_been_obeyed(api: JsonApi, echo: Echo) -> None:
    echo.lose_answer("POST")

    with pytest.raises(NoAnswer):
        api.ask("POST", "/a")

    assert len(echo.sent("POST /a")) == 1


def test_while_the_service_wants_to_be_left_alone_nothing_is_sent(api: JsonApi, echo: Echo) -> None:
    echo.refuse("GET", Answer(429, None, retry_after="1800"))
    for _time in range(3):
        with pytest.raises(TooMany):
            api.ask("GET", "/a")

    assert len(echo.asked) == 1


@pytest.fixture
def behind_tls(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server with a certificate that only its own authority vouches for; yields its port and the authority's file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "eaip test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca, pem = tmp_path / "ca.pem", tmp_path / "server.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoded = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem.write_bytes(key.private_bytes(*encoded) + ca.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = _TlsServer(("127.0.0.1", 0), _Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.server_port, ca
    server.shutdown()
    server.server_close()
    thread.join()


class _TlsServer(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A handshake that is broken off is what the test is about."""


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"hello": "there"}')

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_a_server_is_believed_only_with_a_certificate_of_a_known_authority(
    behind_tls: tuple[int, Path], tmp_path: Path
) -> None:
    port, ca = behind_tls
    path = tmp_path / "connection.json"
    row = {"url": f"https://127.0.0.1:{port}", "token": "x"}

    path.write_text(json.dumps(row))
    with pytest.raises(NoAnswer, match=r"(?i)certificate"):
        JsonApi(path).ask("GET", "/")
    path.write_text(json.dumps(row | {"ca_file": str(ca)}))

    assert JsonApi(path).ask("GET", "/") == {"hello": "there"}
