"""Label and field selectors, as query strings carry them."""

import re
from typing import Any

_IN = re.compile(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)")
_NOT_IN_BRACKETS = re.compile(r",(?![^(]*\))")


def matches(obj: dict[str, Any], *, labels: str = "", fields: str = "") -> bool:
    given = obj["metadata"].get("labels") or {}
    return all(_label(given, term.strip()) for term in _terms(labels)) and all(
        _field(obj, term.strip()) for term in _terms(fields)
    )


def _terms(selector: str) -> list[str]:
    return [term for term in _NOT_IN_BRACKETS.split(selector) if term.strip()]


def _label(given: dict[str, str], term: str) -> bool:
    if found := _IN.fullmatch(term):
        name, word, values = found.groups()
        return (given.get(name) in [value.strip() for value in values.split(",")]) == (word == "in")
    if term.startswith("!"):
        return term[1:] not in given
    name, operator, value = re.fullmatch(r"([^=!]+)(==|=|!=)?(.*)", term).groups()  # type: ignore[union-attr]
    if operator is None:
        return name in given
    return (given.get(name) == value) == (operator != "!=")


def _field(obj: dict[str, Any], term: str) -> bool:
    path, value = re.split(r"==?", term, maxsplit=1)
    found: Any = obj
    for name in path.split("."):
        found = (found or {}).get(name)
    return bool(found == value)
