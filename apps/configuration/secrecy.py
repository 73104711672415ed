"""What of a configuration is secret: values whose names say so, and what opens doors in addresses under any name."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

# Settings with such names are never shown, only that they differ.
NAMES = r"secret|password|passwd|token|credential|private|api_?key|(^|_)key$"
_NAME = re.compile(NAMES, re.IGNORECASE)
# What stands before the last @ of an authority (RFC 3986, 3.2), behind the first colon in it; over HTTP a long user
# without a password is a token.
_PASSWORD = re.compile(r"((?<=://)[^\s/?#:@]*:|\bhttps?://(?=[^\s/?#:@]{8,}@))([^\s/?#]+)(?=@)", re.IGNORECASE)
_PARAMETER = re.compile(r"([?&;]([\w.-]+)=)([^\s&;#]+)")
MASK = "••••••"


def shown(name: str, values: Mapping[str, object]) -> str | None:
    """This function will return what may be shown of a setting; None where it is not set."""
    if name not in values:
        return None
    return MASK if _NAME.search(name) else _covered(str(values[name]))


def secrets_in(values: Mapping[str, Any]) -> set[str]:
    """This function will return what must not be shown of a configuration, wherever it stands.

    Shapes: passwords and tokens as they stand in their addresses and as programs read them out of these.
    """
    return {secret for name, value in values.items() for secret in _secrets_of(name, str(value))}


def _secrets_of(name: str, value: str) -> Iterator[str]:
    if _NAME.search(name):
        yield value
    for found in _PASSWORD.finditer(value):
        yield from (found[2], unquote(found[2]))
    for found in _PARAMETER.finditer(value):
        if _NAME.search(found[2]):
            yield from (found[3], unquote(found[3]), unquote_plus(found[3]))


def _covered(value: str) -> str:
    value = _PASSWORD.sub(rf"\1{MASK}", value)
    return _PARAMETER.sub(lambda found: found[1] + (MASK if _NAME.search(found[2]) else found[3]), value)
