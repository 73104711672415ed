"""Choices of the trail's filters that apps above know and the ledger does not; they register them when they load."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

Choices = Iterable[tuple[Any, str]]
Provider = Callable[[tuple[UUID, ...]], Choices]

_providers: dict[str, Provider] = {}


def offer(field: str, provider: Provider) -> None:
    """Let `provider(workspaces)` fill the filter `field` with (value, label) pairs."""
    _providers[field] = provider


def offered(field: str, workspaces: tuple[UUID, ...]) -> list[tuple[Any, str]]:
    provider = _providers.get(field)
    return list(provider(workspaces)) if provider else []
