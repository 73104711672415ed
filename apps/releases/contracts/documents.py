"""API descriptions that nobody vouches for: no size, depth or alias that breaks the reader, and nothing is fetched."""

import json
from datetime import date
from math import isfinite
from typing import Any

# Bytes; values that a document may come to once its YAML aliases are written out; levels.
LIMIT = 16 << 20
_VALUES = 2_000_000
_DEPTH = 100


class Unreadable(Exception):
    """It is no OpenAPI document; the text says why, and is fit for people."""


def read(source: bytes) -> dict[str, Any]:
    """This function will read an OpenAPI 3.0 or 3.1 document written in JSON or YAML. Raises Unreadable."""
    if len(source) > LIMIT:
        raise Unreadable(f"It is larger than {LIMIT >> 20} MB.")
    try:
        found = _parsed(source.decode("utf-8-sig"))
    except RecursionError as error:
        raise Unreadable("It is nested too deeply.") from error
    except ValueError as error:
        raise Unreadable(f"It is neither JSON nor YAML in UTF-8: {str(error)[:200]}") from error
    document = _Plain().of(found)
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith(("3.0", "3.1")):
        raise Unreadable("It doesn't say “openapi: 3.0” or “3.1” at its top.")
    _require_operations(document)
    return document


def _parsed(text: str) -> Any:
    if text.lstrip().startswith("{"):
        return json.loads(text)
    import yaml  # here: most processes never read a description

    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as error:
        raise ValueError(error) from error


class _Plain:
    """Writes aliases out and makes every key a text, as far as the limits go."""

    def __init__(self) -> None:
        self.left = _VALUES

    def of(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > _DEPTH:
            raise Unreadable("It is nested too deeply, or its aliases make it too large.")
        if isinstance(value, dict):
            return {str(key): self.of(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.of(inner, depth + 1) for inner in value]
        if isinstance(value, date):
            return value.isoformat()
        plain = value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
        return value if plain else str(value)


def _require_operations(document: dict[str, Any]) -> None:
    paths = document.get("paths", {})
    if not isinstance(paths, dict) or not all(isinstance(item, dict) for item in paths.values()):
        raise Unreadable("paths: expected an object of objects.")
    parts = document.get("components", {})
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        raise Unreadable("components: expected an object of objects.")
    if not paths and not document.get("webhooks") and not document.get("components"):
        raise Unreadable("It describes nothing: there are no paths.")
