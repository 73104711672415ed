"""What is different between two sets of settings, fit to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.configuration.secrecy import shown


@dataclass(frozen=True)
class ChangedKey:
    """One name whose value differs; None where it is not set."""

    name: str
    before: str | None
    after: str | None


def changed_keys(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[ChangedKey, ...]:
    """This function will list the names that were added, taken away or given another value, by name."""
    return tuple(
        ChangedKey(name, shown(name, before), shown(name, after))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )
