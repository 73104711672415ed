"""References within one document; what lies outside of it is never fetched."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_VALUES = 20_000
_CHAIN = 20


class Unresolved(Exception):
    """It can't be followed: outside of the document, not there, a circle, or too large."""


def resolved(node: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """This function will follow a reference until an object stands there. Raises Unresolved."""
    for _ in range(_CHAIN):
        if not isinstance(node, dict):
            raise Unresolved("an object was expected")
        if not isinstance(node.get("$ref"), str):
            return node
        if set(node) - {"$ref", "summary", "description"}:
            raise Unresolved("keywords beside a reference")
        node = _target(node["$ref"], root)
    raise Unresolved("references that lead in a circle")


def _target(reference: str, root: Any) -> Any:
    if not reference.startswith("#/"):
        raise Unresolved(f"{reference[:100]} is outside of the document")
    for part in reference[2:].split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(root, list) and key.isdigit() and int(key) < len(root):
            root = root[int(key)]
        elif isinstance(root, dict) and key in root:
            root = root[key]
        else:
            raise Unresolved(f"{reference[:100]} is not in the document")
    return root


class Expansion:
    """Writes references out. A reference back to what it stands in becomes the number of references up to it, so that
    two expansions are equal only if they accept the same."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root, self.left = root, _VALUES

    def of(self, node: Any, above: tuple[str, ...] = ()) -> Any:
        """This method will return the node without references. Raises Unresolved: also when it gets too large."""
        self.left -= 1
        if self.left < 0:
            raise Unresolved("too large to be written out")
        if isinstance(node, list):
            return [self.of(inner, above) for inner in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str):
            if reference in above:
                return {"$recursive": len(above) - above.index(reference)}
            resolved({"$ref": reference}, self.root)
            beside = {key: value for key, value in node.items() if key != "$ref"}
            inner = self.of(_target(reference, self.root), (*above, reference))
            return inner if not beside else {"allOf": [inner, self.of(beside, above)]}
        return {key: self.of(inner, above) for key, inner in node.items()}
