"""What services publish of themselves (`tests/descriptions`), and whether an exchange with a fake agrees with it.

Stricter than the services: what a description doesn't name is a fault, in what is sent as in what is answered, since a
name that is only ours would never be noticed otherwise. Where Go reads null as nothing, so does this.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FOLDER = Path(__file__).with_name("descriptions")
ROOT = "urn:described"
Json = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    """`path` as it was sent; `content` is the body of the answer, None for an empty one."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: Any
    status: int
    content: Any
    content_type: str = "application/json"

    def __str__(self) -> str:
        return f"{self.method} {self.path} {dict(self.query) or ''} -> {self.status}"


class Description:
    """What is answered at one address, of however many descriptions. `reads_null`: null is not as good as nothing."""

    def __init__(self, *documents: Json, reads_null: bool = False) -> None:
        self._reads_null = reads_null
        self._operations = [
            (method, _pattern(path, operation), operation)
            for document in documents
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]
        schemas = {name: _strict(each) for row in documents for name, each in row["components"]["schemas"].items()}
        whole = DRAFT202012.create_resource({"components": {"schemas": schemas}})
        self._registry: Registry[Any] = Registry().with_resource(ROOT, whole)
        self._agreed: set[int] = set()

    def example(self, method: str, path: str) -> Any:
        """Return the answer that the description gives for an example; `path` with the names in it."""
        [found] = [row for name, pattern, row in self._operations if name == method.lower() and pattern.fullmatch(path)]
        return next(iter(found["responses"]["200"]["content"]["application/json"]["examples"].values()))["value"]

    def faults(self, exchange: Exchange) -> list[str]:
        """Say how an exchange contradicts the description; nothing where it doesn't."""
        key = hash(repr(exchange))
        found = [] if key in self._agreed else [f"{exchange}: {said}" for said in self._found(exchange)]
        if not found:
            self._agreed.add(key)
        return found

    def _found(self, exchange: Exchange) -> Iterator[str]:
        found = [row for method, pattern, row in self._operations if _is_at(exchange, method, pattern)]
        if not found:
            yield "there is no such operation"
            return
        operation = found[0]
        yield from self._asked(exchange, operation)
        yield from self._sent(exchange, operation)
        yield from self._answered(exchange, operation)

    def _asked(self, exchange: Exchange, operation: Json) -> Iterator[str]:
        known = {row["name"]: row for row in operation["parameters"] if row["in"] == "query"}
        for name in {name for name, row in known.items() if row.get("required")} - {name for name, _ in exchange.query}:
            yield f"{name} is missing in the query"
        for name, text in exchange.query:
            if name not in known:
                yield f"{name} is unknown in the query"
            else:
                schema = known[name]["schema"]
                yield from self._against(schema, _read(text, schema.get("type")), f"in the query, {name}")

    def _sent(self, exchange: Exchange, operation: Json) -> Iterator[str]:
        wanted = operation.get("requestBody")
        if wanted is None:
            if exchange.body is not None:
                yield "a body is sent where none is read"
        elif exchange.body is None:
            if wanted.get("required"):
                yield "the body is missing"
        elif exchange.method != "PATCH" or exchange.content_type == "application/json":
            yield from self._against(_schema(wanted), exchange.body, "in what is sent")
        elif exchange.content_type != "application/json-patch+json":
            # Part of an object: as the whole that is answered, but for what has to be there and what says how to merge.
            told, whole = _without_directives(exchange.body), _schema(operation["responses"]["200"])
            yield from self._against(whole, told, "in what is sent", part=True)

    def _answered(self, exchange: Exchange, operation: Json) -> Iterator[str]:
        status, responses = exchange.status, operation["responses"]
        wanted = responses.get(str(status), responses["default"] if status >= 400 else None)
        if wanted is None:
            yield "this status is never answered"
        elif "content" not in wanted:
            if exchange.content is not None:
                yield "an answer where there is none"
        elif exchange.content is not None or status < 400:
            yield from self._against(_schema(wanted), exchange.content, "in the answer")

    def _against(self, schema: Json, value: Any, where: str, *, part: bool = False) -> Iterator[str]:
        check = Draft202012Validator(_strict(schema), registry=self._registry)
        for error in check.iter_errors(value if self._reads_null else _without_nulls(value)):
            if not (part and error.validator == "required"):
                place = "/".join(str(each) for each in error.absolute_path)
                yield f"{where}{f' at {place}' if place else ''}: {(best_match([error]) or error).message[:200]}"


def require(description: Description, exchanges: Iterable[Exchange]) -> None:
    """Raises AssertionError: an exchange contradicts the description."""
    faults = dict.fromkeys(said for exchange in exchanges for said in description.faults(exchange))
    assert not faults, "\n".join(["What the service publishes of itself is contradicted:", *faults])


@cache
def described(*names: str, reads_null: bool = False) -> Description:
    """Return what was cut out of published descriptions by `deploy/vendor/descriptions.py`."""
    return Description(*(json.loads((FOLDER / f"{name}.json").read_text()) for name in names), reads_null=reads_null)


def _pattern(path: str, operation: Json) -> re.Pattern[str]:
    long = {row["name"] for row in operation["parameters"] if row.get("x-multi-segment")}
    parts = (
        r".+" if each[1:-1] in long else r"[^/]+" if each[:1] == "{" else re.escape(each) for each in path.split("/")
    )
    return re.compile("/".join(parts))


def _is_at(exchange: Exchange, method: str, pattern: re.Pattern[str]) -> bool:
    return exchange.method.lower() == method and pattern.fullmatch(exchange.path) is not None


def _schema(body: Json) -> Json:
    found: Json = next(iter(body["content"].values()))["schema"]
    return found


def _read(text: str, kind: str | None) -> Any:
    """Return a value of the query as what it stands for."""
    if kind == "integer" and text.isdecimal():
        return int(text)
    if kind == "array":
        return [text]
    return {"true": True, "1": True, "false": False, "0": False}.get(text, text) if kind == "boolean" else text


def _strict(schema: Any) -> Any:
    """Return a schema of OpenAPI 3.0 as JSON Schema that knows no other property than those that are named."""
    if not isinstance(schema, dict):
        return schema
    found = {name: _part(name, each) for name, each in schema.items() if name != "nullable"}
    if "$ref" in found:
        found["$ref"] = found["$ref"].replace("#/", f"{ROOT}#/")
    if "properties" in found:
        found.setdefault("additionalProperties", False)
    if found.get("format") == "int-or-string":
        found["type"] = ["integer", "string"]
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") else found


def _part(name: str, value: Any) -> Any:
    if name == "properties":
        return {key: _strict(each) for key, each in value.items()}
    if name in ("allOf", "anyOf", "oneOf"):
        return [_strict(each) for each in value]
    return _strict(value) if name in ("items", "additionalProperties", "not") else value


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_directives(each) for name, each in value.items() if name[:1] != "$"}
    return [_without_directives(each) for each in value] if isinstance(value, list) else value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
