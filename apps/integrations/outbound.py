"""The one way out to addresses that people enter: judged, resolved once, and connected to the address that was judged.

A name is resolved here and nowhere else; the connection goes to the number, while Host, SNI and the check of the
certificate keep the name. So a name that answers otherwise a moment later changes nothing. No redirect is followed, no
proxy of the environment is used, nothing takes longer or is larger than the limits say.
"""

import asyncio
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address

import httpcore2

from apps.integrations.apart import run_apart
from apps.integrations.outbound_addresses import Destination, NotAllowed, Policy, permit

SECONDS = 5.0
BODY_BYTES = 1_048_576
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


class NoAnswer(Exception):
    """The other side did not answer as it should; the text says how."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    milliseconds: float
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    expires_at: datetime
    milliseconds: float
    days_left: int
    """Whole days, as the certificate was shown."""
    tls: str
    """The version that was spoken, such as "1.3"."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """This function will ask the machine's resolver, in a thread of the loop's."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def get(
    destination: Destination,
    policy: Policy,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
    resolver: Resolver = system_resolver,
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """This function will send one GET request and read the answer, a redirect as it is.

    Shapes: `headers` are sent beside those that every request has, or in their place.
    Units: `seconds` for all of it, at most SECONDS. `trust`: whose certificates are good; the system's, if None.
    Raises NotAllowed: the address is refused, nothing was sent. NoAnswer: no answer in time, none that can be read, or
    more than BODY_BYTES.
    """
    return await _exchange(
        "GET", destination, policy, headers=headers or {}, seconds=seconds, resolver=resolver, trust=trust
    )


async def post(
    destination: Destination,
    policy: Policy,
    *,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float = SECONDS,
    resolver: Resolver = system_resolver,
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """This function will send these bytes by one POST request and read the answer, a redirect as it is.

    Shapes, units, errors: as `get`; `headers` say what the bytes are.
    """
    headers = {"Content-Length": str(len(body)), **headers}
    return await _exchange(
        "POST", destination, policy, headers=headers, body=body, seconds=seconds, resolver=resolver, trust=trust
    )


async def _exchange(
    method: str,
    destination: Destination,
    policy: Policy,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    seconds: float,
    resolver: Resolver,
    trust: ssl.SSLContext | None,
) -> Answer:
    began = time.monotonic()
    async with _within(seconds), aclosing(await _pinned(destination, policy, resolver)) as backend:
        origin = httpcore2.Origin(destination.scheme.encode(), destination.host.encode(), destination.port)
        url = httpcore2.URL(
            scheme=origin.scheme, host=origin.host, port=origin.port, target=destination.target.encode()
        )
        sent = {
            "Host": destination.authority, "User-Agent": "EAIP-Operations", "Accept": "*/*", "Connection": "close",
            **headers,
        }  # fmt: skip
        async with httpcore2.AsyncHTTPConnection(
            origin, ssl_context=trust or _system_trust(), network_backend=backend
        ) as connection:
            response = await connection.handle_async_request(
                httpcore2.Request(method, url, headers=[*sent.items()], content=body)
            )
            try:
                answered = await _body(response)
            finally:
                await response.aclose()
    names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    return Answer(response.status, (time.monotonic() - began) * 1000, names, answered)


async def reach(
    destination: Destination, policy: Policy, *, seconds: float = SECONDS, resolver: Resolver = system_resolver
) -> float:
    """This function will open a connection and close it; return how many milliseconds it took.

    Raises NotAllowed, NoAnswer: as `get`.
    """
    began = time.monotonic()
    async with _within(seconds), aclosing(await _pinned(destination, policy, resolver)) as backend:
        await backend.connect_tcp(destination.host, destination.port)
        return (time.monotonic() - began) * 1000


async def certificate(
    destination: Destination,
    policy: Policy,
    *,
    seconds: float = SECONDS,
    resolver: Resolver = system_resolver,
    trust: ssl.SSLContext | None = None,
) -> Certificate:
    """This function will say until when the certificate shown for the name is good.

    Raises NotAllowed: as `get`. NoAnswer: also for a certificate that no browser would take.
    """
    began = time.monotonic()
    async with _within(seconds), aclosing(await _pinned(destination, policy, resolver)) as backend:
        stream = await backend.connect_tcp(destination.host, destination.port)
        stream = await stream.start_tls(trust or _system_trust(), server_hostname=destination.host)
        channel = stream.get_extra_info("ssl_object")
        shown, spoken = channel.getpeercert(), _tls_version(channel)
        milliseconds = (time.monotonic() - began) * 1000
    expires_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    return Certificate(expires_at, milliseconds, (expires_at - datetime.now(UTC)).days, spoken)


async def lowest_tls(
    destination: Destination,
    policy: Policy,
    *,
    spoken: str,
    seconds: float = SECONDS,
    resolver: Resolver = system_resolver,
) -> str:
    """This function will return the lowest version of TLS that is taken, `spoken` where no older one is.

    Nothing is sent once a handshake has come about, so its certificate does not matter.
    Raises NotAllowed, NoAnswer: as `get`.
    """
    for offered in _old_tls():
        async with _within(seconds), aclosing(await _pinned(destination, policy, resolver)) as backend:
            stream = await backend.connect_tcp(destination.host, destination.port)
            try:
                stream = await stream.start_tls(offered, server_hostname=destination.host)
            except httpcore2.NetworkError:
                continue
            return _tls_version(stream.get_extra_info("ssl_object"))
    return spoken


def hand_over_tls(
    destination: Destination,
    policy: Policy,
    *,
    data: bytes,
    seconds: float = SECONDS,
    resolver: Resolver = system_resolver,
    trust: ssl.SSLContext | None = None,
) -> None:
    """This function will send these bytes through TLS to a receiver that answers nothing, and end the connection.

    It returns when the receiver has ended it too, which it does once it has read all: a receiver that dies before
    resets it. Units: `seconds` for all of it, at most twice SECONDS.
    Raises NotAllowed: as `get`. NoAnswer: also when it can't be told that all was read.
    """
    until = time.monotonic() + min(seconds, 2 * SECONDS)
    addresses = run_apart(_within_seconds(_pinned(destination, policy, resolver), seconds)).addresses
    try:
        with (
            _connected(addresses, destination.port, until) as bare,
            (trust or _system_trust()).wrap_socket(bare, server_hostname=destination.host) as channel,
        ):
            for start in range(0, len(data), _TLS_BLOCK):
                channel.settimeout(_left(until))
                channel.sendall(data[start : start + _TLS_BLOCK])
            channel.settimeout(_left(until))
            _ended(channel)
    except TimeoutError:
        raise NoAnswer(f"It did not take everything within {min(seconds, 2 * SECONDS):g} s.") from None
    except ssl.SSLCertVerificationError as error:
        raise NoAnswer(f"The certificate is not good: {error.verify_message}.") from error
    except ssl.SSLError as error:
        raise NoAnswer(f"No TLS came about: {error.reason or error}.") from error
    except OSError as error:
        raise NoAnswer(f"No connection: {error.strerror or error}.") from error


_TLS_BLOCK = 16_384


async def _within_seconds(work: Awaitable["_Pinned"], seconds: float) -> "_Pinned":
    async with _within(seconds):
        return await work


def _left(until: float) -> float:
    if (left := until - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _connected(addresses: Sequence[str], port: int, until: float) -> socket.socket:
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), timeout=_left(until))
        except ConnectionError:
            continue
    return socket.create_connection((addresses[-1], port), timeout=_left(until))


def _ended(channel: ssl.SSLSocket) -> None:
    """Say that this was all, and wait until the other side has ended too (RFC 5425, section 4.4)."""
    try:
        channel.unwrap()
    except ssl.SSLEOFError:
        # It closed without its own farewell, as some do; with something unread, its system had reset the connection.
        return
    except ssl.SSLError as error:
        raise NoAnswer(f"It did not end the connection in order: {error.reason or error}.") from error


class _Pinned(httpcore2.AnyIOBackend):
    """Connects to addresses that were judged, whatever host it is asked for, and leaves no connection behind."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self._opened: list[httpcore2.AsyncNetworkStream] = []

    async def aclose(self) -> None:
        for stream in self._opened:
            await stream.aclose()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        for address in self.addresses:
            try:
                stream = await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError:
                if address == self.addresses[-1]:
                    raise
            else:
                self._opened.append(stream)
                return stream
        raise NoAnswer(f"Nobody knows the name {host}.")


async def _pinned(destination: Destination, policy: Policy, resolver: Resolver) -> _Pinned:
    if (known := destination.address) is not None:
        found: Sequence[str] = [str(known)]
    else:
        try:
            found = await resolver(destination.host, destination.port)
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise NoAnswer(f"Nobody knows the name {destination.host}.")
    for address in found:
        # One bad address among good ones is a name that plays tricks: none of them is used.
        try:
            permit(ip_address(address), destination.port, policy)
        except NotAllowed as error:
            raise NotAllowed(str(error) if known else f"{destination.host} leads to {error}") from None
    return _Pinned(found)


async def _body(response: httpcore2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise NoAnswer(f"The answer is larger than {BODY_BYTES // 1_048_576} MiB and was not read to its end.")
    return bytes(body)


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    limit = min(seconds, SECONDS)
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError:
        raise NoAnswer(f"No answer within {limit:g} s.") from None
    except httpcore2.NetworkError as error:
        raise NoAnswer(_told(error)) from error
    except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
        raise NoAnswer(f"What came back is no HTTP: {error}") from error


def _told(error: httpcore2.NetworkError) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"The certificate is not good: {cause.verify_message}."
    if isinstance(cause, ssl.SSLError):
        return f"No TLS came about: {cause.reason or cause}."
    return f"No connection: {str(error) or 'it was closed without an answer'}."


def _tls_version(channel: ssl.SSLObject) -> str:
    version = channel.version() or ""
    return {"TLSv1": "1.0"}.get(version, version.removeprefix("TLSv"))


@cache
def _old_tls() -> tuple[ssl.SSLContext, ...]:
    """What offers no more than TLS 1.1, and what offers 1.2 alone: as an old client would, with any cipher."""
    offers = []
    for least, most in (
        (ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1),
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            # Python warns of what is asked for here on purpose.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version, context.maximum_version = least, most
        offers.append(context)
    return tuple(offers)


@cache
def _system_trust() -> ssl.SSLContext:
    return ssl.create_default_context()
