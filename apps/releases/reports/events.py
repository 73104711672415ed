"""Which events a release publishes, each with its schema: JSON Schema (json-schema.org), 2020-12 or what it names.

`{"events": [{"subject": "orders.placed", "version": "1.2", "mode": "BACKWARD", "closed": true, "schema": {…}}, …]}`
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from apps.core.canonical import canonical
from apps.releases.enums import EventMode
from apps.releases.reports import Unreadable, documents

# Bytes of one schema in canonical JSON; events of one release; levels of one schema.
SCHEMA_LIMIT = 100_000
MOST = 200
_DEPTH = 30
_SUBJECT = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_VERSION = re.compile(r"([1-9]\d{0,4})\.(0|[1-9]\d{0,4})")
_FIELDS = {"subject", "version", "mode", "schema", "closed"}
# What a reference may lead to is within the document, by its path from the top.
_ELSEWHERE = {"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"}


class Published(NamedTuple):
    """`source` is the schema in canonical JSON, `digest` its SHA-256 in hex."""

    subject: str
    number: int
    minor: int
    mode: str
    is_closed: bool
    source: str
    digest: str

    @property
    def version(self) -> str:
        return f"{self.number}.{self.minor}"


def read_events(report: bytes) -> dict[str, Any]:
    """This function will read the list of events that a release publishes; an empty one says that it publishes none."""
    document = documents.json_object(report)
    if set(document) != {"events"}:
        raise Unreadable("It has exactly one field: events, a list.")
    rows = documents.rows(document, "events")
    if len(rows) > MOST:
        raise Unreadable(f"A release publishes at most {MOST} versions of events.")
    published = [_read(row, f"events[{number}]") for number, row in enumerate(rows)]
    if len({(each.subject, each.number) for each in published}) != len(published):
        raise Unreadable("A release publishes one schema of each major version of an event; one stands there twice.")
    subjects = {each.subject for each in published}
    return {"subjects": len(subjects), "versions": len(published), "published": published}


def _read(row: dict[str, Any], place: str) -> Published:
    if not _FIELDS - {"closed"} <= set(row) <= _FIELDS:
        raise Unreadable(f"{place}: expected the fields subject, version, mode and schema, and perhaps closed.")
    subject, version = documents.text(row["subject"]), documents.text(row["version"])
    if len(subject) > 120 or not _SUBJECT.fullmatch(subject):
        raise Unreadable(f"{place}.subject: expected a name such as orders.order-placed, of at most 120 characters.")
    numbers = _VERSION.fullmatch(version)
    if numbers is None:
        raise Unreadable(f"{place}.version: expected a major and a minor number, such as 1.0.")
    if row["mode"] not in EventMode.values:
        raise Unreadable(f"{place}.mode: expected one of {', '.join(EventMode.values)}.")
    is_closed = row.get("closed", False)
    if not isinstance(is_closed, bool):
        raise Unreadable(f"{place}.closed: expected true or false.")
    source = _checked(row["schema"], f"{place}.schema")
    digest = sha256(source).hexdigest()
    return Published(subject, int(numbers[1]), int(numbers[2]), row["mode"], is_closed, source.decode(), digest)


def _checked(schema: Any, place: str) -> bytes:
    if not isinstance(schema, dict) or not isinstance(schema.get("$schema", ""), str):
        raise Unreadable(f"{place}: expected an object, whose $schema is a text.")
    try:
        source = canonical(schema)
        if len(source) > SCHEMA_LIMIT:
            raise Unreadable(f"{place}: a schema may have {SCHEMA_LIMIT // 1000} kB.")
        for node, depth in _objects(schema):
            _require_plain(node, place, is_top=depth == 0)
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        raise Unreadable(f"{place}{error.json_path[1:]}: {documents.short(error.message)}") from error
    except (RecursionError, ValueError) as error:
        raise Unreadable(f"{place}: it is nested too deeply, or has a number that JSON has not.") from error
    return source


def _objects(schema: Any, depth: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    if depth > _DEPTH:
        raise RecursionError
    if isinstance(schema, dict):
        yield schema, depth
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _objects(inner, depth + 1)


def _require_plain(node: dict[str, Any], place: str, *, is_top: bool) -> None:
    reference = node.get("$ref", "#")
    if isinstance(reference, str) and not reference.startswith("#"):
        away = documents.short(reference)
        raise Unreadable(f"{place}: {away} is outside of the document, and nothing is fetched: put it in $defs.")
    named = _ELSEWHERE - ({"$id"} if is_top else set())
    if found := sorted(name for name in named if isinstance(node.get(name), str | bool)):
        raise Unreadable(f"{place}: {found[0]} is not read here: refer by path, such as #/$defs/money.")
