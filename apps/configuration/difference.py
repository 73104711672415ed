"""What is different between two sets of settings, fit to be shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Settings with such names are never shown, only that they differ.
SECRET_NAME = re.compile(r"secret|password|passwd|token|credential|private|api_?key|(^|_)key$", re.IGNORECASE)
MASK = "••••••"


@dataclass(frozen=True)
class ChangedKey:
    """One name whose value differs; None where it is not set."""

    name: str
    before: str | None
    after: str | None


def changed_keys(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[ChangedKey, ...]:
    """This function will list the names that were added, taken away or given another value, by name."""
    return tuple(
        ChangedKey(name, _shown(name, before), _shown(name, after))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _shown(name: str, values: Mapping[str, object]) -> str | None:
    if name not in values:
        return None
    return MASK if SECRET_NAME.search(name) else str(values[name])
