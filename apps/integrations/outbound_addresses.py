"""Which addresses that people enter may be asked at all. Pure: no name is resolved and nothing is sent here.

Only one spelling of an address is read; whatever else a resolver or a library would make an address of (127.1,
0x7f000001, full-width digits, a zone) is refused, so that what is judged is what is connected to. Ranges: the special
purpose registries of IANA for IPv4 and IPv6, and the addresses where clouds keep their machines' credentials.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LENGTH = 500
DEFAULT_PORTS = {"http": 80, "https": 443, "tls": 443}
_URL = re.compile(r"(?P<scheme>[a-z]+)://(?P<authority>[^/?#]+)(?P<target>[/?][^#]*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class NotAllowed(ValueError):
    """Nothing may be sent to this address; the text says why."""


def _networks(words: str) -> tuple[Network, ...]:
    return tuple(ip_network(word) for word in words.split())


# Credentials of the machine itself: not even for who is let into the network around them.
_NEVER = _networks("169.254.0.0/16 168.63.129.16/32 100.100.100.200/32 192.0.0.192/32 fd00:ec2::/32 fe80::/10")
_DENIED: tuple[tuple[str, tuple[Network, ...]], ...] = (
    ("this machine itself", _networks("127.0.0.0/8 0.0.0.0/8 ::1/128 ::/128")),
    ("a private network", _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7 fec0::/10")),
    (
        "an IPv4 address in the clothes of an IPv6 one",
        _networks("::ffff:0:0/96 ::/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 2002::/16 2001::/32"),
    ),
    ("many machines at once", _networks("224.0.0.0/4 255.255.255.255/32 ff00::/8")),
    (
        "reserved",
        _networks(
            "192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.175.48.0/24 198.18.0.0/15"
            " 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 100::/64 2001::/23 2001:db8::/32 2620:4f:8000::/48 3fff::/20"
        ),
    ),
)
# All that is given out on the internet; the rest of IPv6 has no machines, whatever a later standard makes of it.
_GIVEN_OUT = IPv6Network("2000::/3")


@dataclass(frozen=True, slots=True)
class Policy:
    """What one workspace may reach. In `inside`, networks of its own, every port is open to it; elsewhere `ports`."""

    ports: frozenset[int]
    inside: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """`host` is a name in lower case, or an address as `ipaddress` writes it; `target` is a path with its query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def address(self) -> Address | None:
        """None for a name, which only a resolver knows. `localhost` is this machine, whatever a resolver says."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return IPv4Address("127.0.0.1")
        return ip_address(self.host) if ":" in self.host or self.host[-1].isdigit() else None

    @property
    def authority(self) -> str:
        """As the header Host has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"


def inside(words: Iterable[str]) -> tuple[Network, ...]:
    """This function will read networks such as 10.20.0.0/16. Raises ValueError: one of them is none."""
    return tuple(ip_network(word) for word in words)


def read(url: str, *, schemes: Iterable[str]) -> Destination:
    """This function will read an address that a person has entered, in its only spelling.

    Raises NotAllowed: with what is wrong with it.
    """
    schemes = tuple(schemes)
    if len(url) > LENGTH:
        raise NotAllowed(f"An address has at most {LENGTH} characters.")
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        raise NotAllowed("An address has plain letters, digits and signs only: no blank, no \\, nothing outside ASCII.")
    if not (parts := _URL.fullmatch(url)) or (scheme := parts["scheme"].lower()) not in schemes:
        raise NotAllowed(f"An address begins with {_either([f'{scheme}://' for scheme in schemes])} and has no #.")
    host, port = _place(parts["authority"])
    number = int(port) if port else DEFAULT_PORTS.get(scheme)
    if number is None or number > 65_535:
        raise NotAllowed(f"Say a port from 1 to 65535, such as {scheme}://{host}:5432.")
    target = parts["target"] or "/"
    if scheme in {"tcp", "tls"} and target != "/":
        raise NotAllowed(f"An address of {scheme}:// ends with the port: nothing is asked for there.")
    return Destination(scheme, host, number, target if target.startswith("/") else f"/{target}")


def judge(destination: Destination, policy: Policy) -> None:
    """This function will say what can be said before a name is resolved. Raises NotAllowed: never to be reached."""
    if (address := destination.address) is not None:
        permit(address, destination.port, policy)
    elif not policy.inside:
        _permit_port(destination.port, policy)


def permit(address: Address, port: int, policy: Policy) -> None:
    """This function will judge the very address that a connection is made to. Raises NotAllowed: with the reason."""
    if _within(address, _NEVER):
        raise NotAllowed(f"{address} belongs to the machines themselves or their cloud and is never asked.")
    if _within(address, policy.inside):
        return
    for what, networks in _DENIED:
        if _within(address, networks):
            raise NotAllowed(
                f"{address} is {what}: only addresses on the internet, or in a network that this workspace was given, "
                f"are asked."
            )
    if address.version == 6 and address not in _GIVEN_OUT:
        raise NotAllowed(f"{address} is given out to nobody on the internet.")
    _permit_port(port, policy)


def _permit_port(port: int, policy: Policy) -> None:
    if port not in policy.ports:
        known = ", ".join(str(known) for known in sorted(policy.ports))
        raise NotAllowed(f"Port {port} is not asked outside of the workspace's own networks. Open are: {known}.")


def _place(authority: str) -> tuple[str, str | None]:
    if "@" in authority:
        raise NotAllowed("An address carries no user and no password: nothing before an @.")
    if not (parts := _AUTHORITY.fullmatch(authority)):
        raise NotAllowed(f"{authority} is no host with a port, such as app.example.com:8443 or [2a00:1450::1]:443.")
    try:
        if parts["six"]:
            return str(IPv6Address(parts["six"])), parts["port"]
        host = parts["host"].lower()
        if _NUMBER.fullmatch(host.rstrip(".").rsplit(".", 1)[-1]):
            return str(IPv4Address(host)), parts["port"]
    except AddressValueError:
        raise NotAllowed(f"{authority} is no address. Four numbers from 0 to 255, as in 93.184.216.34.") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise NotAllowed(f"{host} is no name: letters, digits and hyphens between dots, and no dot at the end.")
    return host, parts["port"]


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
