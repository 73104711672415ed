"""From where the current request or task came; set at the door, read by `record`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from uuid import uuid4


@dataclass(frozen=True)
class Source:
    """`via` names the door: page, api, webhook, task, command. `request_id` groups what one request did."""

    via: str
    ip: str = ""
    user_agent: str = ""
    session: str = ""
    request_id: str = field(default_factory=lambda: str(uuid4()))

    def as_json(self) -> dict[str, str]:
        return {key: value for key, value in asdict(self).items() if value}


_current: ContextVar[Source | None] = ContextVar("source", default=None)


@contextmanager
def coming_from(source: Source) -> Iterator[Source]:
    token = _current.set(source)
    try:
        yield source
    finally:
        _current.reset(token)


def current_source() -> Source:
    return _current.get() or Source(via="command")
