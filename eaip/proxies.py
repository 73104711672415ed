"""What the proxies before the portal say of a request, and which of them are believed.

`TRUSTED_PROXY_DEPTH` is how many there are at most, `TRUSTED_PROXY_NETWORKS` where they ask from. Each of them adds the
address that it was asked from on the right; whatever stands further left, anybody may have written.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def address_of(request: HttpRequest) -> str:
    """Return the address of the client: the first from the right that no proxy of ours has."""
    address = _peer(request.META)
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    for _ in range(settings.TRUSTED_PROXY_DEPTH):
        if not hops or not _is_ours(address) or not _is_address(hops[-1]):
            break
        address = hops.pop()
    return address


def request_id_of(request: HttpRequest) -> str:
    """Return the id that a proxy of ours gave the request, else a new one."""
    given = request.headers.get("X-Request-ID", "")
    return given if is_from_ours(request.META) and _REQUEST_ID.fullmatch(given) else str(uuid4())


def is_from_ours(meta: Mapping[str, Any]) -> bool:
    """Say whether a proxy of ours asks, so that what it says of the request is believed."""
    return bool(settings.TRUSTED_PROXY_DEPTH) and _is_ours(_peer(meta))


def _peer(meta: Mapping[str, Any]) -> str:
    # Whoever asks through a socket of this machine has no address.
    return meta.get("REMOTE_ADDR") or "127.0.0.1"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_ours(address: str) -> bool:
    if not _is_address(address):
        return False
    place = ip_address(address)
    mapped = getattr(place, "ipv4_mapped", None)
    return any((mapped or place) in network for network in _networks(tuple(settings.TRUSTED_PROXY_NETWORKS)))


@lru_cache
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)
