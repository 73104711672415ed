"""Two OpenAPI documents compared, operation by operation.

What no rule decides is UNDECIDED and needs a person; it is never taken for compatible.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from typing import Any

from apps.releases.contracts.changes import Change, Effect
from apps.releases.contracts.references import Expansion, Unresolved, resolved
from apps.releases.contracts.schemas import Comparison, Difference, Side
from apps.releases.contracts.subschemas import Child, Judge

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PARAMETER = re.compile(r"\{([^}]*)\}")
_VERSION = re.compile(r"/(v\d+)(?=/|$)")
_WORDS = {"summary", "description", "tags", "externalDocs", "example", "examples"}
_RULED = {"parameters", "requestBody", "responses", "security", "deprecated", "operationId", "servers"}
EVERY = "every operation"

_Document = Mapping[str, Any]
_Changes = Iterator[Difference]


@dataclass(frozen=True)
class _Operation:
    name: str
    path: str
    item: _Document
    own: _Document
    root: _Document

    def part(self, node: Any) -> dict[str, Any]:
        return resolved(node, self.root)

    def named(self, of: _Document, key: str) -> dict[str, Any]:
        found = of.get(key) or {}
        if not isinstance(found, dict):
            raise Unresolved(f"{key} is no object")
        return found


def compare(old: _Document, new: _Document, *, judge: Judge | None = None) -> tuple[Change, ...]:
    """This function will name what differs between the operations of two documents, in the order of their names.

    Shapes: both documents come from `documents.read`; `judge` says whether a schema accepts all that another does, by
    default a process with a time limit.
    """
    if judge is not None:
        return tuple(_changes(old, new, judge))
    with Child() as child:
        return tuple(_changes(old, new, child))


def operations(document: _Document) -> int:
    """This function will count the operations of a document."""
    return sum(method in item for item in document.get("paths", {}).values() for method in _METHODS)


def versions(document: _Document) -> dict[str, str]:
    """This function will name the versions that callers address, in servers or in paths, and until when each was said
    to stay: the last day of its operations, "" where one has none.
    """
    whole = _sunset(document, document.get("info"))
    said: dict[str, list[str]] = {version: [whole] for version in _versions(document)}
    for operation in _operations(document).values():
        for version in _VERSION.findall(operation.path):
            said.setdefault(version, []).append(_sunset(operation.own, operation.item, document, document.get("info")))
    return {version: max(days) if all(days) else "" for version, days in said.items()}


def sunsets(document: _Document) -> dict[str, str]:
    """This function will name the operations that are said to end, themselves or their paths, each with its day."""
    found = {operation.name: _sunset(operation.own, operation.item) for operation in _operations(document).values()}
    return {name: day for name, day in found.items() if day}


def _changes(old: _Document, new: _Document, judge: Judge) -> Iterator[Change]:
    yield from (Change(EVERY, *astuple(found)) for found in _of_documents(old, new))
    before, after = _operations(old), _operations(new)
    schemas = Comparison(old, new, judge)
    same = old.get("components") == new.get("components")
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        name = (was or now).name  # type: ignore[union-attr]
        yield from (Change(name, *astuple(found)) for found in _of_operation(was, now, schemas, same=same))


def _operations(document: _Document) -> dict[str, _Operation]:
    found = {}
    for path, item in document.get("paths", {}).items():
        try:
            whole = {**resolved(item, document)}
        except Unresolved:
            whole = {"get": {"x-unread": True}, "$ref": item}
        for method in _METHODS:
            if isinstance(whole.get(method), dict):
                # Callers don't see what a path calls its parameters.
                key = f"{_PARAMETER.sub('{}', path)} {method}"
                name = f"{method.upper()} {path}"
                rest = {name: value for name, value in whole.items() if name not in _METHODS}
                found[key] = _Operation(name, path, rest, whole[method], document)
    return found


def _of_documents(old: _Document, new: _Document) -> _Changes:
    known = {
        "openapi",
        "info",
        "tags",
        "externalDocs",
        "paths",
        "components",
        "security",
        "servers",
        "jsonSchemaDialect",
    }
    for name in sorted((old.keys() | new.keys()) - known):
        if not name.startswith("x-") and old.get(name) != new.get(name):
            yield _undecided(name, "part-changed", f"“{name}” of the document differs.")
    yield from _of_versions(old, new)
    schemes = [(document.get("components") or {}).get("securitySchemes") for document in (old, new)]
    if (
        schemes[0]
        and schemes[0] != schemes[1]
        and any((schemes[1] or {}).get(name) != scheme for name, scheme in schemes[0].items())
    ):
        yield _undecided("securitySchemes", "security-scheme-changed", "How callers sign in is described differently.")


def _of_operation(old: _Operation | None, new: _Operation | None, schemas: Comparison, *, same: bool) -> _Changes:
    if old is None:
        yield _compatible("", "operation-added", "The operation is new; nobody calls it yet.")
    elif new is None:
        sentence = "The operation is gone; whoever calls it gets an error."
        sunset = _sunset(old.own, old.item, old.root, old.root.get("info"))
        yield Difference("", "operation-removed", Effect.BREAKING, sentence, sunset)
    elif not same or (old.item, old.own, old.root.get("security")) != (new.item, new.own, new.root.get("security")):
        try:
            yield from _of_parts(old, new, schemas)
        except (Unresolved, TypeError, AttributeError, RecursionError) as error:
            yield _undecided("", "operation-unread", f"The operation can't be read to its end ({error}).")


def _of_parts(old: _Operation, new: _Operation, schemas: Comparison) -> _Changes:
    for name in sorted((old.own.keys() | new.own.keys()) - _WORDS - _RULED):
        if not name.startswith("x-") and not _same(old, old.own.get(name), new, new.own.get(name)):
            yield _undecided(name, "part-changed", f"“{name}” differs; no rule decides whom that breaks.")
    yield from _of_words(old, new)
    yield from _of_servers(*(one.own.get("servers") or one.item.get("servers") for one in (old, new)))
    yield from _of_security(old, new)
    yield from _of_parameters(old, new, schemas)
    yield from _of_body(old, new, schemas)
    yield from _of_responses(old, new, schemas)
    if "$ref" in old.item or "$ref" in new.item:
        yield _undecided("", "path-unread", "What the path refers to is outside of the document.")


def _of_words(old: _Operation, new: _Operation) -> _Changes:
    before, after = bool(old.own.get("deprecated")), bool(new.own.get("deprecated"))
    if before != after:
        told = "It is deprecated: it works, and callers should leave it." if after else "It is deprecated no longer."
        yield _compatible("deprecated", "deprecation-changed", told)
    if old.own.get("operationId") != new.own.get("operationId"):
        yield _compatible("operationId", "name-changed", "Calls stay as they are; generated clients name it anew.")


def _of_versions(old: _Document, new: _Document) -> _Changes:
    if gone := sorted(_versions(old) - _versions(new)):
        sentence = f"Callers of {' and '.join(gone)} are left without an address."
        yield Difference("servers", "version-removed", Effect.BREAKING, sentence, _sunset(old, old.get("info")))
    else:
        yield from _of_servers(old.get("servers"), new.get("servers"))


def _versions(document: _Document) -> set[str]:
    servers = document.get("servers")
    known = [server for server in servers if isinstance(server, dict)] if isinstance(servers, list) else []
    return {version for server in known for version in _VERSION.findall(str(server.get("url")))}


def _sunset(*nodes: Any) -> str:
    """Return until when callers were told that it stays: the first date that is said, from the inside out."""
    for node in nodes:
        with contextlib.suppress(ValueError):
            if isinstance(node, dict) and "x-sunset" in node:
                return date.fromisoformat(str(node["x-sunset"])[:10]).isoformat()
    return ""


def _of_servers(old: Any, new: Any) -> _Changes:
    if old == new:
        return
    before, after = old or [{"url": "/"}], new or [{"url": "/"}]
    if isinstance(before, list) and isinstance(after, list) and all(server in after for server in before):
        yield _compatible("servers", "server-added", "There is one more address; the others stay.")
    else:
        yield _undecided("servers", "servers-changed", "The addresses differ; the old ones may work no longer.")


def _of_security(old: _Operation, new: _Operation) -> _Changes:
    before, after = (one.own.get("security", one.root.get("security")) or [{}] for one in (old, new))
    if before == after:
        return
    if all(any(_covers(way, other) for other in after) for way in before):
        yield _compatible("security", "security-widened", "Each way to sign in works as before.")
    else:
        yield _breaking("security", "security-narrowed", "Callers that sign in as before are refused.")


def _covers(held: _Document, asked: _Document) -> bool:
    return all(name in held and set(asked[name]) <= set(held[name]) for name in asked)


def _parameters(of: _Operation) -> dict[tuple[str, str], dict[str, Any]]:
    names = _PARAMETER.findall(of.path)
    found = {}
    for each in [*(of.item.get("parameters") or []), *(of.own.get("parameters") or [])]:
        parameter = of.part(each)
        where, name = str(parameter.get("in")), str(parameter.get("name"))
        if where == "path" and name in names:
            name = f"{names.index(name) + 1}. of the path"
        found[where, name.lower() if where == "header" else name] = parameter
    return found


def _of_parameters(old: _Operation, new: _Operation, schemas: Comparison) -> _Changes:
    before, after = _parameters(old), _parameters(new)
    for where, name in sorted(before.keys() | after.keys()):
        was, now, place = before.get((where, name)), after.get((where, name)), f"{where} parameter {name}"
        if was is None:
            yield _parameter_added(place, required=bool(now and now.get("required")))
        elif now is None:
            yield _undecided(place, "parameter-removed", "It may be ignored or refused; callers that send it find out.")
        else:
            yield from _of_need(place, was, now, "parameter")
            yield from _of_rest(old, was, new, now, place, known={"name", "in", "required", "schema"})
            yield from schemas.of(was.get("schema", {}), now.get("schema", {}), Side.REQUEST, place)


def _parameter_added(place: str, *, required: bool) -> Difference:
    if required:
        return _breaking(place, "required-parameter-added", "Callers don't send it yet, and are refused.")
    return _compatible(place, "optional-parameter-added", "It may be sent; nobody sends it yet.")


def _of_need(place: str, was: _Document, now: _Document, what: str) -> _Changes:
    before, after = bool(was.get("required")), bool(now.get("required"))
    if after and not before:
        yield _breaking(place, f"{what}-required", "Callers that don't send it are refused.")
    elif before and not after:
        yield _compatible(place, f"{what}-optional", "It need not be sent.")


def _of_rest(
    old: _Operation, was: _Document, new: _Operation, now: _Document, place: str, *, known: set[str]
) -> _Changes:
    for name in sorted((was.keys() | now.keys()) - known - _WORDS - {"deprecated"}):
        if not name.startswith("x-") and not _same(old, was.get(name), new, now.get(name)):
            yield _undecided(place, "part-changed", f"“{name}” differs; no rule decides whom that breaks.")


def _of_body(old: _Operation, new: _Operation, schemas: Comparison) -> _Changes:
    was, now = (one.part(one.own.get("requestBody") or {}) for one in (old, new))
    if not was and now.get("required"):
        yield _breaking("request body", "required-body-added", "Callers send none yet, and are refused.")
    elif not was and now:
        yield _compatible("request body", "optional-body-added", "It may be sent; nobody sends it yet.")
    elif was and not now:
        yield _undecided("request body", "body-removed", "It may be ignored or refused; callers that send it find out.")
    elif was:
        yield from _of_need("request body", was, now, "body")
        yield from _of_media(old, was, new, now, schemas, side=Side.REQUEST, place="request body")


def _of_media(
    old: _Operation, was: _Document, new: _Operation, now: _Document, schemas: Comparison, *, side: Side, place: str
) -> _Changes:
    before, after = old.named(was, "content"), new.named(now, "content")
    for kind in sorted(before.keys() | after.keys()):
        where = f"{place} {kind}"
        if kind not in after:
            yield _breaking(where, f"{side}-media-type-removed", f"Callers that use {kind} are left without it.")
        elif kind not in before:
            yield _compatible(where, f"{side}-media-type-added", f"{kind} may be used as well.")
        else:
            yield from _of_rest(old, before[kind], new, after[kind], where, known={"schema"})
            yield from schemas.of(before[kind].get("schema", {}), after[kind].get("schema", {}), side, where)


def _of_responses(old: _Operation, new: _Operation, schemas: Comparison) -> _Changes:
    before, after = old.named(old.own, "responses"), new.named(new.own, "responses")
    for status in sorted(before.keys() | after.keys()):
        if status.startswith("x-"):
            continue
        place = f"response {status}"
        if status not in after or status not in before:
            yield _status(place, status, gone=status not in after)
            continue
        was, now = old.part(before[status]), new.part(after[status])
        yield from _of_rest(old, was, new, now, place, known={"content", "headers"})
        yield from _of_media(old, was, new, now, schemas, side=Side.RESPONSE, place=place)
        yield from _of_headers(old, was, new, now, schemas, place=place)


def _status(place: str, status: str, *, gone: bool) -> Difference:
    if status[:1] in ("4", "5"):
        told = "This error is described no longer." if gone else "An error more is described; callers handle errors."
        return _compatible(place, f"error-{'removed' if gone else 'added'}", told)
    if gone and status[:1] == "2":
        return _breaking(place, "success-removed", "Callers that wait for this answer don't get it.")
    return _undecided(place, f"status-{'removed' if gone else 'added'}", "Callers may rely on the answers they know.")


def _of_headers(
    old: _Operation, was: _Document, new: _Operation, now: _Document, schemas: Comparison, *, place: str
) -> _Changes:
    before = {name.lower(): old.part(header) for name, header in old.named(was, "headers").items()}
    after = {name.lower(): new.part(header) for name, header in new.named(now, "headers").items()}
    for name in sorted(before.keys() | after.keys()):
        where = f"{place} header {name}"
        if name not in after:
            yield _breaking(where, "response-header-removed", "Callers that read it find nothing.")
        elif name not in before:
            yield _compatible(where, "response-header-added", "Callers that don't know it leave it unread.")
        else:
            if before[name].get("required") and not after[name].get("required"):
                yield _breaking(where, "response-header-optional", "It may be missing: callers that count on it fail.")
            yield from _of_rest(old, before[name], new, after[name], where, known={"required", "schema"})
            yield from schemas.of(before[name].get("schema", {}), after[name].get("schema", {}), Side.RESPONSE, where)


def _same(old: _Operation, was: Any, new: _Operation, now: Any) -> bool:
    return bool(Expansion(old.root).of(was) == Expansion(new.root).of(now))


def _breaking(place: str, rule: str, sentence: str) -> Difference:
    return Difference(place, rule, Effect.BREAKING, sentence)


def _compatible(place: str, rule: str, sentence: str) -> Difference:
    return Difference(place, rule, Effect.COMPATIBLE, sentence)


def _undecided(place: str, rule: str, sentence: str) -> Difference:
    return Difference(place, rule, Effect.UNDECIDED, sentence)
