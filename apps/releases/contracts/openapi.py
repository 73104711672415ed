"""Two OpenAPI documents compared, operation by operation.

What no rule decides is UNDECIDED and needs a person; it is never taken for compatible.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from apps.releases.contracts.changes import Change, Effect

# Where a path refers to another part, its operations are not known; it stands for all of them.
_METHODS = ("$ref", "get", "put", "post", "delete", "options", "head", "patch", "trace")

_Document = Mapping[str, Any]


def compare(old: _Document, new: _Document) -> tuple[Change, ...]:
    """This function will name what differs between the operations of two documents, in the order of their names.

    Shapes: both documents are parsed OpenAPI 3.0 or 3.1. References are not followed: an operation whose text differs,
    or whose document's shared parts or bases differ, is UNDECIDED.
    """
    before, after = _operations(old), _operations(new)
    shared = _surroundings(old) != _surroundings(new)
    return tuple(
        change
        for name in sorted(before.keys() | after.keys())
        for change in _of_operation(name, before.get(name), after.get(name), shared=shared)
    )


def _operations(document: _Document) -> dict[str, _Document]:
    return {
        f"{_verb(method)} {path}": {"of_path": _without_methods(item), "own": item[method]}
        for path, item in document.get("paths", {}).items()
        for method in _METHODS
        if method in item
    }


def _verb(method: str) -> str:
    return "any of" if method == "$ref" else method.upper()


def _without_methods(item: _Document) -> _Document:
    return {key: value for key, value in item.items() if key not in _METHODS}


def _surroundings(document: _Document) -> _Document:
    return {key: value for key, value in document.items() if key not in ("paths", "info", "tags", "externalDocs")}


def _of_operation(name: str, old: _Document | None, new: _Document | None, *, shared: bool) -> Iterator[Change]:
    if old is None:
        sentence = f"{name} is new; nobody calls it yet."
        yield Change(name, "", "operation-added", Effect.COMPATIBLE, sentence)
    elif new is None:
        sentence = f"{name} is gone; whoever calls it gets an error."
        yield Change(name, "", "operation-removed", Effect.BREAKING, sentence)
    elif old != new:
        sentence = f"{name} is described differently; a person has to say whom that breaks."
        yield Change(name, "", "operation-changed", Effect.UNDECIDED, sentence)
    elif shared:
        sentence = f"{name} stays as it was, but what the document shares between operations differs."
        yield Change(name, "", "shared-parts-changed", Effect.UNDECIDED, sentence)
