"""Two schemas compared property by property, for what is sent to the service or for what it answers.

Each keyword either has a rule, or the schemas are judged as a whole, or nobody knows: UNDECIDED. Pairs of recursive
schemas that are being compared already are left to the comparison that runs.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from apps.releases.contracts.changes import Effect
from apps.releases.contracts.references import Expansion, Unresolved, resolved
from apps.releases.contracts.subschemas import Judge

_PAIRS = 200_000
_WORDS = frozenset({"title", "description", "example", "examples", "externalDocs", "xml", "deprecated", "$comment"})
_TYPES = frozenset({"null", "boolean", "number", "string", "array", "object"})
LOWER = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
UPPER = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
RULED = frozenset({"type", "enum", "properties", "required", "additionalProperties", "items", "readOnly", "writeOnly"})
# What jsonsubschema judges. It is of draft 4 and takes no notice of any other keyword, which would read as "the same".
_JUDGED = (
    frozenset({"type", "enum", "properties", "required", "additionalProperties", "items", "pattern", "multipleOf"})
    | frozenset({"allOf", "anyOf", "oneOf", "not", "uniqueItems"})
    | LOWER
    | UPPER
)


class Side(StrEnum):
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True)
class Difference:
    place: str
    rule: str
    effect: Effect
    sentence: str
    sunset: str = ""


class Comparison:
    """What differs between schemas of two documents; one object for both documents, so that pairs count together."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any], judge: Judge, *, closes: bool = True) -> None:
        """With `closes` nobody sends or answers with what is not described."""
        self.old, self.new, self.judge, self.closes = old, new, judge, closes
        self._left = _PAIRS
        self._running: set[tuple[int, int, Side]] = set()

    def of(self, old: Any, new: Any, side: Side, place: str) -> Iterator[Difference]:
        """This method will name each difference, and whom it breaks."""
        self._left -= 1
        try:
            before, after = self._schema(old, self.old), self._schema(new, self.new)
        except Unresolved as error:
            yield _undecided(place, "schema-unread", f"The schema can't be followed: {error}.")
            return
        if self._left < 0:
            yield _undecided(place, "too-large", "The descriptions are too large to be compared further.")
            return
        pair = (id(before[1]), id(after[1]), side)
        if pair in self._running:
            return
        self._running.add(pair)
        try:
            yield from self._of_objects(before[0], after[0], side, place)
        finally:
            self._running.discard(pair)

    def _schema(self, node: Any, root: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        if isinstance(node, bool):
            return ({} if node else {"not": {}}), node
        found = resolved(node, root)
        if not isinstance(found.get("type", ""), str | list):
            raise Unresolved("its type is no name")
        return plain(found), found

    def _of_objects(self, old: dict[str, Any], new: dict[str, Any], side: Side, place: str) -> Iterator[Difference]:
        try:
            if not self._same_rest(old, new):
                yield self._judged(old, new, side, place)
                return
        except Unresolved as error:
            yield _undecided(place, "schema-unread", f"The schema can't be followed: {error}.")
            return
        yield from _of_values(old, new, side, place)
        yield from _of_flags(old, new, side, place)
        yield from self._of_properties(old, new, side, place)
        yield from _of_others(old, new, side, place)
        others = old.get("additionalProperties"), new.get("additionalProperties")
        if all(isinstance(other, dict) and other for other in others):
            yield from self.of(*others, side, f"{place}.*")
        if old.get("items", {}) != {} or new.get("items", {}) != {}:
            yield from self.of(old.get("items", {}), new.get("items", {}), side, f"{place}[]")

    def _same_rest(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        names = (old.keys() | new.keys()) - RULED - LOWER - UPPER
        rest = [{name: schema[name] for name in names if name in schema} for schema in (old, new)]
        return _worded(Expansion(self.old).of(rest[0])) == _worded(Expansion(self.new).of(rest[1]))

    def _judged(self, old: dict[str, Any], new: dict[str, Any], side: Side, place: str) -> Difference:
        try:
            before, after = _for_judge(Expansion(self.old).of(old)), _for_judge(Expansion(self.new).of(new))
        except Unresolved as error:
            return _undecided(place, "schema-changed", f"The schema differs in a way no rule decides ({error}).")
        closed = self.closes and not (_mentions([before, after], {"allOf", "not"}) or _mixed([before, after]))
        if side == Side.REQUEST:
            fits = self.judge(_closed(before) if closed else before, after)
        else:
            fits = self.judge(_closed(after) if closed else after, before)
        if fits:
            return Difference(place, "schema-fits", Effect.COMPATIBLE, "The schema differs, and fits what it was.")
        # An open schema can refuse what nobody sends, so only a closed one, or one without objects, is a proof.
        is_proof = closed or not self.closes or not _mentions([before, after], {"properties", "required"})
        if fits is False and is_proof:
            what = "what was accepted is refused" if side == Side.REQUEST else "answers may be what they never were"
            return Difference(place, "schema-narrowed", Effect.BREAKING, f"The schema differs: {what}.")
        return _undecided(place, "schema-changed", "The schema differs in a way that could not be decided.")

    def _of_properties(self, old: dict[str, Any], new: dict[str, Any], side: Side, place: str) -> Iterator[Difference]:
        before, after = named_in(old.get("properties")), named_in(new.get("properties"))
        hidden = "readOnly" if side == Side.REQUEST else "writeOnly"
        for name in sorted(before.keys() | after.keys()):
            where = f"{place}.{name}"
            if name not in after:
                yield _removed(where, side, closed=new.get("additionalProperties") is False)
            elif name not in before:
                yield _added(where, side, old.get("additionalProperties"))
            else:
                yield from self.of(before[name], after[name], side, where)
        needed = texts_in(old.get("required")), texts_in(new.get("required"))
        for name in sorted(needed[0] ^ needed[1]):
            unseen = _flag(before.get(name), hidden) and _flag(after.get(name), hidden)
            if not unseen:
                yield _necessity(f"{place}.{name}", side, needed=name in needed[1])


def plain(schema: dict[str, Any]) -> dict[str, Any]:
    """This function will write a schema of OpenAPI 3.0 or 3.1 in one way: types as lists, limits as numbers."""
    found = {key: value for key, value in schema.items() if key not in _WORDS and not key.startswith("x-")}
    if "const" in found:
        found["enum"] = [found.pop("const")]
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(found.get(exclusive), bool) and found.pop(exclusive) and limit in found:
            found[exclusive] = found.pop(limit)
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"]]
    nullable = found.pop("nullable", False)
    if nullable is True and isinstance(found.get("type"), list) and "null" not in found["type"]:
        found["type"] = [*found["type"], "null"]
    return found


def _of_values(old: dict[str, Any], new: dict[str, Any], side: Side, place: str) -> Iterator[Difference]:
    types = kinds_of(old), kinds_of(new)
    yield from _of_sets("type", types[0] - types[1], types[1] - types[0], side, place)
    if "enum" in old or "enum" in new:
        sets = values_of(old), values_of(new)
        yield from _of_sets("enum", lacking(*sets), lacking(*reversed(sets)), side, place)
    for limit in sorted((LOWER | UPPER) & (old.keys() | new.keys())):
        if old.get(limit) != new.get(limit):
            yield _limit(limit, old.get(limit), new.get(limit), side, place)


def lacking(some: set[str] | None, others: set[str] | None) -> set[str]:
    if others is None:
        return set()
    return {"any other value"} if some is None else some - others


def _of_sets(what: str, lost: Iterable[str], gained: Iterable[str], side: Side, place: str) -> Iterator[Difference]:
    less, more = ", ".join(sorted(lost))[:200], ", ".join(sorted(gained))[:200]
    if not less and not more:
        return
    breaks = bool(less) if side == Side.REQUEST else bool(more)
    told = " and ".join(part for part in (less and f"no longer {less}", more and f"now also {more}") if part)
    if side == Side.REQUEST:
        who = "callers that send what is gone are refused" if breaks else "what callers send is accepted as before"
    else:
        who = "callers get what they don't know" if breaks else "callers get nothing they don't know"
    rule = f"{side}-{what}-{'narrowed' if less and not more else 'widened' if more and not less else 'changed'}"
    yield Difference(place, rule, _effect(breaks), f"The {what} is {told}: {who}.")


def _limit(name: str, old: Any, new: Any, side: Side, place: str) -> Difference:
    if not all(value is None or isinstance(value, int | float) for value in (old, new)):
        return _undecided(place, f"{side}-limit-changed", f"{name} goes from {old} to {new}.")
    tighter = new is not None and (old is None or (new > old if name in LOWER else new < old))
    breaks = tighter == (side == Side.REQUEST)
    told = f"{name} goes from {'none' if old is None else old} to {'none' if new is None else new}"
    who = "some callers are refused or surprised" if breaks else "callers notice nothing"
    return Difference(place, f"{side}-limit-{'narrowed' if tighter else 'widened'}", _effect(breaks), f"{told}: {who}.")


def _of_flags(old: dict[str, Any], new: dict[str, Any], side: Side, place: str) -> Iterator[Difference]:
    for flag in ("readOnly", "writeOnly"):
        if bool(old.get(flag)) != bool(new.get(flag)):
            yield _undecided(place, f"{side}-{flag}-changed", f"{flag} differs: a person has to say whom that breaks.")


def _of_others(old: dict[str, Any], new: dict[str, Any], side: Side, place: str) -> Iterator[Difference]:
    before, after = (True if o in (None, {}) else o for o in map(others_of, (old, new)))
    if before is after or (isinstance(before, dict) and isinstance(after, dict)):
        return
    if before is False and side == Side.REQUEST:
        sentence = "Properties beyond the described ones are accepted: what callers send is accepted as before."
        yield Difference(place, "request-object-opened", Effect.COMPATIBLE, sentence)
    elif after is False and side == Side.RESPONSE:
        sentence = "Answers have no properties beyond the described ones: callers get nothing they don't know."
        yield Difference(place, "response-object-closed", Effect.COMPATIBLE, sentence)
    else:
        yield _undecided(place, f"{side}-others-changed", "What further properties may be differs.")


def others_of(schema: dict[str, Any]) -> Any:
    return schema.get("additionalProperties")


def _removed(place: str, side: Side, *, closed: bool) -> Difference:
    if side == Side.RESPONSE:
        sentence = "The property is gone from the answer: callers that read it find nothing."
        return Difference(place, "response-property-removed", Effect.BREAKING, sentence)
    if closed:
        sentence = "The property is refused: callers that send it get an error."
        return Difference(place, "request-property-refused", Effect.BREAKING, sentence)
    return _undecided(place, "request-property-removed", "The property may be sent, but is no longer described.")


def _added(place: str, side: Side, others: Any) -> Difference:
    if isinstance(others, dict) and others:
        return _undecided(place, f"{side}-property-added", "A property that any name stood for is described by itself.")
    if side == Side.REQUEST:
        sentence = "The property may be sent; nobody sends it yet."
        return Difference(place, "request-property-added", Effect.COMPATIBLE, sentence)
    if others is False:
        sentence = "Answers have a property more, and were said to have no others: strict readers refuse them."
        return Difference(place, "response-property-added", Effect.BREAKING, sentence)
    sentence = "Answers have a property more: callers that don't know it leave it unread."
    return Difference(place, "response-property-added", Effect.COMPATIBLE, sentence)


def _necessity(place: str, side: Side, *, needed: bool) -> Difference:
    if side == Side.REQUEST and needed:
        return Difference(
            place, "request-property-required", Effect.BREAKING, "Callers that don't send it are refused."
        )
    if side == Side.RESPONSE and not needed:
        sentence = "It may be missing from answers: callers that count on it fail."
        return Difference(place, "response-property-optional", Effect.BREAKING, sentence)
    rule, sentence = (
        ("response-property-required", "It is in every answer.") if needed
        else ("request-property-optional", "It need not be sent.")
    )  # fmt: skip
    return Difference(place, rule, Effect.COMPATIBLE, sentence)


def _undecided(place: str, rule: str, sentence: str) -> Difference:
    return Difference(place, rule, Effect.UNDECIDED, sentence)


def _effect(breaks: bool) -> Effect:
    return Effect.BREAKING if breaks else Effect.COMPATIBLE


def kinds_of(schema: dict[str, Any]) -> set[str]:
    types = schema.get("type")
    kinds = set(map(str, types)) if isinstance(types, list) else set(_TYPES)
    return kinds | {"integer"} if "number" in kinds else kinds


def values_of(schema: dict[str, Any]) -> set[str] | None:
    values = schema.get("enum")
    return {repr(value) for value in values} if isinstance(values, list) else None


def named_in(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def texts_in(value: Any) -> set[str]:
    return {name for name in value if isinstance(name, str)} if isinstance(value, list) else set()


def _flag(schema: Any, name: str) -> bool:
    return isinstance(schema, dict) and schema.get(name) is True


def _mentions(node: Any, names: set[str]) -> bool:
    if isinstance(node, list):
        return any(_mentions(inner, names) for inner in node)
    return isinstance(node, dict) and any(key in names or _mentions(inner, names) for key, inner in node.items())


def _mixed(node: Any) -> bool:
    """Return whether a union has properties beside it: closing its branches would leave nothing that fits."""
    if isinstance(node, list):
        return any(map(_mixed, node))
    if not isinstance(node, dict):
        return False
    return bool(node.keys() & _IN_LISTS and "properties" in node) or any(map(_mixed, node.values()))


# Schemas stand directly, in a list, or by name.
_BY_NAME = {"properties"}
_IN_LISTS = {"allOf", "anyOf", "oneOf"}
_DIRECT = {"items", "not", "additionalProperties"}


def _each(schema: Any, change: Any) -> Any:
    """Return the schema with all schemas in it changed."""
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    for key, value in schema.items():
        if key in _BY_NAME and isinstance(value, dict):
            found[key] = {name: change(inner) for name, inner in value.items()}
        elif key in _IN_LISTS and isinstance(value, list):
            found[key] = [change(inner) for inner in value]
        elif key in _DIRECT:
            found[key] = change(value)
    return found


def _worded(schema: Any) -> Any:
    """Return the schema in one way of writing, without words."""
    return _each(plain(schema), _worded) if isinstance(schema, dict) else schema


def _for_judge(schema: Any) -> Any:
    """Return the schema as draft 4 has it. Raises Unresolved: it says more than that."""
    if not isinstance(schema, dict):
        return schema
    found = plain(schema)
    if unknown := sorted(found.keys() - _JUDGED - {"readOnly", "writeOnly"}):
        raise Unresolved(f"“{unknown[0][:40]}” is not judged")
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in found:
            if limit in found:
                raise Unresolved(f"both {limit} and {exclusive}")
            found[limit], found[exclusive] = found[exclusive], True
    for flag in ("readOnly", "writeOnly"):
        if found.pop(flag, False):
            raise Unresolved(f"“{flag}” is not judged")
    if found.get("required") == []:
        del found["required"]
    return _each(found, _for_judge)


def _closed(schema: Any) -> Any:
    """Return the schema without properties that it doesn't describe; unions close each of their branches."""
    if not isinstance(schema, dict):
        return schema
    found = _each(schema, _closed)
    if "properties" in found and not found.keys() & _IN_LISTS:
        found.setdefault("additionalProperties", False)
    return found
