"""Free and taken ports."""

import errno
import socket
from contextlib import ExitStack

from deploy.launcher.console import Refused


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on now, all different. They are not kept: the one who binds may still lose a race."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def require_free(host: str, port: int) -> None:
    """Raise Refused, naming the port and the way out, when the address can't be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Refused(_why(host, port, error)) from None


def _why(host: str, port: int, error: OSError) -> str:
    other = f"choose another: make run PORT={free_ports(1)[0] if port < 1024 else _next_free(host, port)}"
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program; {other}"
    if error.errno == errno.EACCES:
        return f"Port {port} is for the administrator alone; {other}"
    return f"Can't listen on {host}:{port} ({error.strerror}); set HOST= and PORT= to an address of this machine."


def _next_free(host: str, port: int) -> int:
    for candidate in range(port + 1, min(port + 100, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    return free_ports(1)[0]
