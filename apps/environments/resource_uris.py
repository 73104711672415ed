"""When do two addresses name the same resource? Pure: text in, text out.

RFC 3986 section 6 (case, percent-encoding, dot segments), default ports per scheme, IDNA 2008 host names. Credentials
and options (query, fragment) say how to reach a resource, not which one it is.
"""

import ipaddress
import re
from urllib.parse import unquote

import idna

LIMIT = 500
DEFAULT_PORTS = {
    "http": 80, "https": 443, "ftp": 21, "ssh": 22, "postgresql": 5432, "mysql": 3306, "redis": 6379,
    "mongodb": 27017, "amqp": 5672, "amqps": 5671, "nats": 4222, "kafka": 9092, "mqtt": 1883, "ldap": 389,
    "sqlserver": 1433, "clickhouse": 9000, "elasticsearch": 9200,
}  # fmt: skip
# Other spellings of a scheme, and its encrypted form on the same port, reach the same store.
ALIASES = {"postgres": "postgresql", "pgsql": "postgresql", "rediss": "redis", "valkey": "redis", "valkeys": "redis",
           "mssql": "sqlserver", "mariadb": "mysql"}  # fmt: skip

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://([^/?#]*)([^?#]*)(?:\?[^#]*)?(?:#.*)?", re.DOTALL)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\<>\"^`{|}\ud800-\udfff]")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class UriInvalid(ValueError):
    """Not an address that names a resource."""


def normalised(text: str) -> str:
    """This function will return the one spelling of the resource that the address names.

    Raises UriInvalid: when the address is not `scheme://host[:port]/path`.
    """
    scheme, authority, path = _parts(text)
    hosts = sorted(_host(part, scheme) for part in authority.split(","))
    result = f"{scheme}://{','.join(hosts)}{_path(path)}"
    if len(result) > LIMIT:
        raise UriInvalid(f"The address is longer than {LIMIT} characters.")
    return result


def without_secrets(text: str) -> str:
    """This function will return the address as it was written, without user, password and options."""
    matched = _match(text)
    return f"{matched[1]}://{matched[2].rpartition('@')[2]}{matched[3]}"


def _match(text: str) -> re.Match[str]:
    text = text.strip()
    if len(text) > LIMIT:
        raise UriInvalid(f"The address is longer than {LIMIT} characters.")
    if found := _FORBIDDEN.search(text):
        raise UriInvalid(f"The address has a character in it that no address has (U+{ord(found[0]):04X}).")
    matched = _URI.fullmatch(text)
    if matched is None:
        raise UriInvalid("An address looks like postgresql://host:5432/name; this one has no scheme or no host.")
    if _BAD_PERCENT.search(matched[2]) or _BAD_PERCENT.search(matched[3]):
        raise UriInvalid("The address has a % that is not followed by two hexadecimal digits.")
    return matched


def _parts(text: str) -> tuple[str, str, str]:
    matched = _match(text)
    scheme = matched[1].lower()
    authority = matched[2].rpartition("@")[2]
    if not authority:
        raise UriInvalid("The address names no host.")
    return ALIASES.get(scheme, scheme), authority, matched[3]


def _host(part: str, scheme: str) -> str:
    literal = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?", part)
    if literal is None or not literal[1]:
        raise UriInvalid(f"{part!r} is not a host with a port.")
    name = _name(literal[1])
    port = int(literal[2]) if literal[2] else None
    if port is not None and not 0 < port < 65536:
        raise UriInvalid(f"{port} is not a port.")
    return name if port in {None, DEFAULT_PORTS.get(scheme)} else f"{name}:{port}"


def _name(host: str) -> str:
    if host.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError as error:
            raise UriInvalid(f"{host} is not an IPv6 address.") from error
    name = unquote(host).rstrip(".").lower()
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        pass
    try:
        encoded = name if re.fullmatch(r"[a-z0-9_.-]+", name) else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise UriInvalid(f"{host!r} is not a host name: {error}.") from error
    if not encoded or any(not label or len(label) > 63 for label in encoded.split(".")):
        raise UriInvalid(f"{host!r} is not a host name.")
    return encoded


def _path(path: str) -> str:
    kept: list[str] = []
    for segment in _ENCODED.sub(_recoded, path).split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append("".join(c if c.isascii() else _percent(c) for c in segment))
    return "".join(f"/{segment}" for segment in kept)


def _recoded(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())
