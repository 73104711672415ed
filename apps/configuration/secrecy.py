"""What of a configuration is secret: values whose names say so, and the passwords in addresses under any name."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

# Settings with such names are never shown, only that they differ.
_NAME = re.compile(r"secret|password|passwd|token|credential|private|api_?key|(^|_)key$", re.IGNORECASE)
# What stands before the last @ of an authority (RFC 3986, 3.2), behind the first colon in it.
_PASSWORD = re.compile(r"(?<=://)([^\s/?#:@]*:)([^\s/?#]+)@")
MASK = "••••••"


def shown(name: str, values: Mapping[str, object]) -> str | None:
    """This function will return what may be shown of a setting; None where it is not set."""
    if name not in values:
        return None
    return MASK if _NAME.search(name) else _PASSWORD.sub(rf"\1{MASK}@", str(values[name]))


def secrets_in(values: Mapping[str, Any]) -> set[str]:
    """This function will return what must not be shown of a configuration, wherever it stands.

    Shapes: passwords as they stand in their addresses and as programs read them out of these.
    """
    return {secret for name, value in values.items() for secret in _secrets_of(name, str(value))}


def _secrets_of(name: str, value: str) -> Iterator[str]:
    if _NAME.search(name):
        yield value
    for found in _PASSWORD.finditer(value):
        yield from (found[2], unquote(found[2]))
