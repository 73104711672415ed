"""Ports of this machine for the lanes of the local executor."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

# Below the range that systems hand out for outgoing connections, so that nothing takes one by chance.
PORTS = range(18_000, 28_000)


def free_ports(target: Path, first: int = 0) -> Iterator[int]:
    """Return the ports that nobody listens on now, one after the other, beginning with the one numbered `first`.

    Each installation begins elsewhere, so that two on one machine don't choose the same before either listens.
    """
    start = int.from_bytes(hashlib.sha256(bytes(target)).digest()[:4]) % (len(PORTS) // 50) * 50 + first
    for offset in range(len(PORTS)):
        port = PORTS[(start + offset) % len(PORTS)]
        if is_free(port):
            yield port


def is_free(port: int) -> bool:
    """Return whether nobody listens on the port of this machine now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True
