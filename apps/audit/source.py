"""From where the current request or task came; set at the door, read by `record`."""

import getpass
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from apps.core import tracing

Identity = Mapping[str, str]


def _nobody() -> Identity:
    return {}


@dataclass(frozen=True)
class Source:
    """`via` names the door: page, api, webhook, task, command. `request_id` groups what one request did.

    `identify` tells, when it is asked, how whoever `id` names proved who they are (keys: `actors.IDENTITY`); a session
    is only known after the door. `causation` names what background work was caused by.
    """

    via: str
    ip: str = ""
    user_agent: str = ""
    request_id: str = field(default_factory=lambda: str(uuid4()))
    identify: Callable[[], Identity] = _nobody
    causation: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, str]:
        named = {
            "via": self.via, "ip": self.ip, "user_agent": self.user_agent, "request_id": self.request_id,
            "trace_id": tracing.trace_id(),
        }  # fmt: skip
        return {key: value for key, value in named.items() if value}


_current: ContextVar[Source | None] = ContextVar("source", default=None)


@contextmanager
def coming_from(source: Source) -> Iterator[Source]:
    token = _current.set(source)
    try:
        yield source
    finally:
        _current.reset(token)


def task_source(**causation: object) -> Source:
    """Return the source of background work, with the ids of what caused it."""
    return Source(via="task", causation={name: str(value) for name, value in causation.items() if value})


def known_source() -> Source | None:
    """Return what the door said, where there was one."""
    return _current.get()


def current_source() -> Source:
    return _current.get() or Source(via="command", user_agent=_program())


def _program() -> str:
    """Name the program that runs outside any door, and who started it on which machine."""
    words = [os.path.basename(word) for word in sys.argv[:1]] + sys.argv[1:2]
    try:
        person = getpass.getuser()
    except (KeyError, OSError):  # an account of a container may have no name
        person = str(os.getuid())
    return f"{' '.join(words)} ({person}@{socket.gethostname()})"[:300]
