"""The way out to addresses that people enter: what is refused is never connected to, and what is allowed is pinned."""

import asyncio
import datetime
import ssl
import warnings
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.integrations import outbound
from apps.integrations import outbound_addresses as addresses
from apps.integrations.outbound_addresses import NotAllowed, Policy

SCHEMES = ("http", "https", "tcp", "tls")
LOOPBACK = addresses.inside(["127.0.0.0/8"])

# `PORT` is the port of a program that really listens on every loopback address of this machine.
_SPELLINGS = """
http://127.0.0.1:PORT/ http://127.0.0.2:PORT/ http://127.255.255.254:PORT/ http://127.1:PORT/ http://127.0.1:PORT/
http://2130706433:PORT/ http://0x7f000001:PORT/ http://0x7f.0.0.1:PORT/ http://0x7F.1:PORT/ http://017700000001:PORT/
http://0177.0.0.1:PORT/ http://0177.1:PORT/ http://127.0.0.01:PORT/ http://00000177.0.0.1:PORT/ http://127.0.0.1.:PORT/
http://0:PORT/ http://0.0.0.0:PORT/ http://0.0:PORT/ http://0x0:PORT/ http://127.0.0.0x1:PORT/ http://127.000.000.001:PORT/
http://localhost:PORT/ http://LOCALHOST:PORT/ http://localhost.:PORT/ http://app.localhost:PORT/
http://[::1]:PORT/ http://[0:0:0:0:0:0:0:1]:PORT/ http://[::]:PORT/ http://[::ffff:127.0.0.1]:PORT/
http://[::ffff:7f00:1]:PORT/ http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/ http://[::127.0.0.1]:PORT/ http://[::7f00:1]:PORT/
http://[64:ff9b::127.0.0.1]:PORT/ http://[64:ff9b::7f00:1]:PORT/ http://[64:ff9b:1::7f00:1]:PORT/
http://[2002:7f00:1::]:PORT/ http://[2001:0:7f00:1::]:PORT/ http://[::ffff:0:127.0.0.1]:PORT/
http://[::1%25lo]:PORT/ http://[::1%lo]:PORT/ http://[fe80::1%25lo]:PORT/ http://[fe80::1]:PORT/
http://example.com@127.0.0.1:PORT/ http://a:b@127.0.0.1:PORT/ http://127.0.0.1:PORT@example.com/ http://@127.0.0.1:PORT/
http://example.com%40127.0.0.1:PORT/ http://example.com#@127.0.0.1:PORT/ http://127.0.0.1:PORT#.example.com/
http://127.0.0.1:PORT\\@example.com/ http:\\\\127.0.0.1:PORT/ http:/127.0.0.1:PORT/ http:127.0.0.1:PORT
//127.0.0.1:PORT/ http:///127.0.0.1:PORT/ http://127%2e0%2e0%2e1:PORT/ http://%31%32%37.0.0.1:PORT/ http://127.0.0.1%00.example.com:PORT/
http://１２７.0.0.1:PORT/ http://①②⑦.⓪.⓪.①:PORT/ http://127。0。0。1:PORT/ http://127．0．0．1:PORT/ http://127｡0｡0｡1:PORT/
http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/ http://loc\u00adalhost:PORT/ http://١٢٧.0.0.1:PORT/ http://127.0.0.1\u200b:PORT/
http://127..0.0.1:PORT/ http://.127.0.0.1:PORT/ http://-:PORT/ http://127.0.0.256:PORT/ http://127.0.0.1.1:PORT/
http://4294967297:PORT/ http://-2130706433:PORT/ http://[127.0.0.1]:PORT/ http://[]:PORT/ http://127.0.0.1:PORT:80/
http://127.0.0.1:+PORT/ http://127.0.0.1:0PORT/ http://127.0.0.1:/ http://[::1]PORT/ http://[::1/
tcp://127.0.0.1:PORT tls://127.0.0.1:PORT tcp://127.1:PORT tls://[::1]:PORT https://127.0.0.1:PORT/ tcp://127.0.0.1
ftp://127.0.0.1:PORT/ file:///etc/passwd gopher://127.0.0.1:PORT/ unix:///run/x dict://127.0.0.1:PORT/ javascript:1
"""  # noqa: RUF001  look-alikes are what is tested
BLANKS = [
    " http://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/\r\nHost: example.com",
    "http://127.0.0.1\t:PORT/",
    "http://127.0.0.1:PORT/\x00",
    "http://example.com /@127.0.0.1:PORT/",
    "",
]
# Where a name may lead that a stranger owns, each as a resolver gives it.
_LEADS = """
127.0.0.1 127.0.0.53 0.0.0.0 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.100.100.200
169.254.169.254 169.254.170.2 168.63.129.16 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9 192.88.99.1
224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 ::1 :: ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1 2002:7f00:1:: 2002:a9fe:a9fe::1 2001:0:4136:e378:8000:63bf:3fff:fdd2
fd00:ec2::254 fc00::1 fd12:3456::1 fe80::1 fe80::1%lo fec0::1 ff02::1 2001:db8::1 3fff::1 100::1 4000::1 5f00::1
"""
SPELLINGS, LEADS = _SPELLINGS.split(), _LEADS.split()


class Listener:
    """A program on all loopback addresses, v4 and v6, that counts who comes and answers like a web server."""

    def __init__(self) -> None:
        self.connections: list[Any] = []
        self.requests: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.pause = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer.get_extra_info("peername"))
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(self.pause)
            writer.write(self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def run(work: Callable[[Listener, int], Awaitable[Any]], trust: ssl.SSLContext | None = None) -> Any:
    """Run the work beside a listener, on a loop in a thread of its own."""

    async def main() -> Any:
        listener = Listener()
        first = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=trust)
        port = first.sockets[0].getsockname()[1]
        servers = [first, *[await asyncio.start_server(listener.serve, h, port, ssl=trust) for h in others()]]
        try:
            return await work(listener, port)
        finally:
            for server in servers:
                server.close()

    def others() -> list[str]:
        v6 = ["::1"] if Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text() else []
        return ["127.0.0.2", "127.255.255.254", "127.0.0.53", *v6]

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(main())).result(60)


def leading_to(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Return a resolver that gives these answers in turn, and the last one from then on."""
    left = list(answers)

    async def resolver(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolver


async def ask(url: str, policy: Policy, resolver: Any = outbound.system_resolver, **more: Any) -> Any:
    destination = addresses.read(url, schemes=SCHEMES)
    way = {"tcp": outbound.reach, "tls": outbound.certificate}.get(destination.scheme, outbound.get)
    return await way(destination, policy, resolver=resolver, **more)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len({*SPELLINGS, *BLANKS}) + len(LEADS) >= 80
    assert len({*SPELLINGS, *BLANKS}) >= 80


def test_no_hostile_spelling_connects_to_anything() -> None:
    async def work(listener: Listener, port: int) -> list[str]:
        policy, passed = Policy(frozenset({80, 443, port})), []
        for form in [*SPELLINGS, *BLANKS]:
            try:
                await ask(form.replace("PORT", str(port)), policy, leading_to(["127.0.0.1"]))
                passed.append(form)
            except NotAllowed:
                pass
        # The listener would have noticed: it answers who may come.
        assert not listener.connections
        await ask(f"http://127.0.0.1:{port}/", Policy(frozenset(), LOOPBACK))
        assert len(listener.connections) == 1
        return passed

    assert run(work) == []


@pytest.mark.parametrize("scheme", ["http", "tcp", "tls"])
def test_no_name_leads_into_a_network_that_is_not_the_workspaces(scheme: str) -> None:
    async def work(listener: Listener, port: int) -> None:
        policy = Policy(frozenset({port}))
        for address in LEADS:
            for answer in ([address], ["93.184.216.34", address], [address, "93.184.216.34"]):
                with pytest.raises(NotAllowed, match=r"^innocent\.example leads to "):
                    await ask(f"{scheme}://innocent.example:{port}", policy, leading_to(answer))
        assert not listener.connections

    run(work)


def test_metadata_is_not_reached_even_from_a_network_around_it() -> None:
    policy = Policy(frozenset({80}), addresses.inside(["0.0.0.0/0", "::/0"]))

    async def work(_listener: Listener, _port: int) -> None:
        for address in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254"):
            with pytest.raises(NotAllowed, match="never asked"):
                await ask("http://meta.example/", policy, leading_to([address]))

    run(work)


def test_a_name_that_answers_otherwise_a_moment_later_changes_nothing() -> None:
    """127.0.0.2 is the workspace's own; the second answer would be another machine's."""
    policy = Policy(frozenset(), addresses.inside(["127.0.0.2/32"]))

    async def work(listener: Listener, port: int) -> None:
        turning = leading_to(["127.0.0.2"], ["127.0.0.1"])
        assert (await ask(f"http://turning.example:{port}/a", policy, turning)).status == 200
        assert f"Host: turning.example:{port}".encode() in listener.requests[0]

        with pytest.raises(NotAllowed):
            await ask(f"http://turning.example:{port}/a", policy, turning)
        assert len(listener.connections) == 1

    run(work)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    policy = Policy(frozenset(), addresses.inside(["127.0.0.2/32"]))

    async def work(listener: Listener, port: int) -> None:
        place = f"http://127.0.0.1:{port}/inner"
        listener.answer = f"HTTP/1.1 {status} Go\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()

        answer = await ask(f"http://127.0.0.2:{port}/", policy)

        assert (answer.status, answer.headers["location"]) == (status, place)
        assert len(listener.connections) == 1

    run(work)


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(listener: Listener, port: int) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.2:{port}")
        await ask(f"http://127.0.0.1:{port}/x?y=1", Policy(frozenset(), LOOPBACK))

        assert listener.requests[0].startswith(b"GET /x?y=1 HTTP/1.1\r\n")

    run(work)


def test_time_and_size_have_their_limits() -> None:
    async def work(listener: Listener, port: int) -> None:
        policy, url = Policy(frozenset(), LOOPBACK), f"http://127.0.0.1:{port}/"
        size = outbound.BODY_BYTES
        listener.answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * size
        assert len((await ask(url, policy)).body) == size
        listener.answer += b"x"
        with pytest.raises(outbound.NoAnswer, match="larger than 1 MiB"):
            await ask(url, policy)
        listener.pause = 3
        with pytest.raises(outbound.NoAnswer, match=r"within 0\.2 s"):
            await ask(url, policy, seconds=0.2)

    run(work)


def test_what_goes_wrong_is_said_in_words() -> None:
    async def nobody(_host: str, _port: int) -> Sequence[str]:
        raise OSError

    async def work(listener: Listener, port: int) -> None:
        policy = Policy(frozenset({80, 443}), LOOPBACK)
        listener.answer = b"220 mail\r\n"
        with pytest.raises(outbound.NoAnswer, match="no HTTP"):
            await ask(f"http://127.0.0.1:{port}/", policy)
        with pytest.raises(outbound.NoAnswer, match="No connection"):
            await ask("tcp://127.0.0.1:1", policy)
        with pytest.raises(outbound.NoAnswer, match=r"Nobody knows the name lost\.example"):
            await ask("http://lost.example/", policy, nobody)
        with pytest.raises(NotAllowed, match="Port 25 is not asked"):
            await ask("tcp://mail.example:25", policy, leading_to(["93.184.216.34"]))

    run(work)


def test_an_address_of_the_internet_is_allowed_at_an_open_port_alone() -> None:
    policy = Policy(frozenset({443}))

    for url in ("https://93.184.216.34/", "https://[2a00:1450:4001::1]/", "https://app.example.com/health?deep=1"):
        addresses.judge(addresses.read(url, schemes=SCHEMES), policy)
    with pytest.raises(NotAllowed, match=r"Open are: 443\."):
        addresses.judge(addresses.read("http://app.example.com/", schemes=SCHEMES), policy)


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext, datetime.datetime]:
    """A server's and a client's context, and until when the certificate for app.example is good."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    until = now + datetime.timedelta(days=9)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("app.example")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "app.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem)), until


def test_the_name_is_kept_for_tls_while_the_address_is_pinned(certified: Any) -> None:
    server, trust, until = certified
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def work(listener: Listener, port: int) -> None:
        policy, here = Policy(frozenset(), LOOPBACK), leading_to(["127.0.0.1"])
        shown = await ask(f"tls://app.example:{port}", policy, here, trust=trust)
        answer = await ask(f"https://app.example:{port}/", policy, here, trust=trust)

        assert (shown.expires_at, answer.status, asked) == (until, 200, ["app.example"] * 2)
        with pytest.raises(outbound.NoAnswer, match="certificate is not good"):
            await ask(f"https://other.example:{port}/", policy, here, trust=trust)

    run(work, server)


@pytest.mark.parametrize(
    ("least", "most", "lowest"),
    [("TLSv1_3", "TLSv1_3", "1.3"), ("TLSv1_2", "TLSv1_3", "1.2"), ("TLSv1_1", "TLSv1_3", "1.1")],
)
def test_the_lowest_tls_that_is_taken_is_tried_with_old_offers(
    certified: Any, least: str, most: str, lowest: str
) -> None:
    server, trust, _ = certified
    server.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server.minimum_version, server.maximum_version = ssl.TLSVersion[least], ssl.TLSVersion[most]

    async def work(listener: Listener, port: int) -> None:
        policy, here = Policy(frozenset(), LOOPBACK), leading_to(["127.0.0.1"])
        destination = addresses.read(f"tls://app.example:{port}", schemes=SCHEMES)
        spoken = (await outbound.certificate(destination, policy, resolver=here, trust=trust)).tls
        found = await outbound.lowest_tls(destination, policy, spoken=spoken, resolver=here)

        assert (spoken, found) == ("1.3", lowest)
        nobody = addresses.read("tls://app.example:1", schemes=SCHEMES)
        with pytest.raises(outbound.NoAnswer, match="No connection"):
            await outbound.lowest_tls(nobody, policy, spoken=spoken, resolver=here)

    run(work, server)
