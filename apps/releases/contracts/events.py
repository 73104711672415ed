"""Schemas of one event compared: what readers of the one make of events that were written by the other.

What no rule decides is UNDECIDED and needs a person; it is never taken for compatible. Nothing is fetched.
"""

from collections.abc import Iterator, Mapping
from dataclasses import astuple
from enum import StrEnum
from typing import Any

from apps.releases.contracts.changes import Change, Effect
from apps.releases.contracts.references import Unresolved
from apps.releases.contracts.schemas import (
    LOWER,
    UPPER,
    Comparison,
    Difference,
    Side,
    kinds_of,
    lacking,
    named_in,
    others_of,
    texts_in,
    values_of,
)
from apps.releases.contracts.subschemas import Child, Judge

# At the top of a schema these say where it is, or hold what others refer to.
_ABOUT = {"$schema", "$id", "$defs", "definitions", "$vocabulary"}
_KINDS: Mapping[type, tuple[str, ...]] = {
    type(None): ("null",), bool: ("boolean",), int: ("integer", "number"), float: ("number",), str: ("string",),
    list: ("array",), dict: ("object",),
}  # fmt: skip
_Document = Mapping[str, Any]


class Mode(StrEnum):
    """Who must be able to read what within one major version, as schema registries define it."""

    BACKWARD = "BACKWARD"
    FORWARD = "FORWARD"
    FULL = "FULL"


def compare(
    lower: Mapping[str, _Document], new: _Document, *, mode: str, is_closed: bool, judge: Judge | None = None
) -> tuple[Change, ...]:
    """This function will name what differs between a schema and each lower one of its major version.

    Shapes: `lower` holds each by its version; with `is_closed` events have no properties but the described ones.
    """
    if judge is not None:
        return tuple(_changes(lower, new, Mode(mode), is_closed, judge))
    with Child() as child:
        return tuple(_changes(lower, new, Mode(mode), is_closed, child))


def _changes(
    lower: Mapping[str, _Document], new: _Document, mode: Mode, is_closed: bool, judge: Judge
) -> Iterator[Change]:
    for version, old in lower.items():
        if mode != Mode.FORWARD:
            yield from _read(old, new, f"reads events of {version}", is_closed, judge)
        if mode != Mode.BACKWARD:
            yield from _read(new, old, f"is read by {version}", is_closed, judge)


def _read(writer: _Document, reader: _Document, told: str, is_closed: bool, judge: Judge) -> Iterator[Change]:
    found = _Reading(writer, reader, judge, closes=is_closed).of(_top(writer), _top(reader), Side.REQUEST, "$")
    try:
        yield from (Change(told, *astuple(each)) for each in found)
    except (TypeError, AttributeError, RecursionError) as error:
        sentence = f"The schema can't be read to its end ({type(error).__name__})."
        yield Change(told, "$", "schema-unread", Effect.UNDECIDED, sentence)


def _top(schema: _Document) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in _ABOUT}


class _Reading(Comparison):
    """Whether the reader's schema (`new`) accepts whatever the writer's (`old`) does."""

    def _of_objects(self, old: dict[str, Any], new: dict[str, Any], side: Side, place: str) -> Iterator[Difference]:
        try:
            if not self._same_rest(old, new):
                yield self._judged(old, new, side, place)
                return
        except Unresolved as error:
            yield Difference(place, "schema-unread", Effect.UNDECIDED, f"The schema can't be followed: {error}.")
            return
        yield from _of_values(old, new, place)
        kinds = _kinds(old)
        if "object" in kinds:
            yield from self._of_fields(old, new, place)
        if "array" in kinds and (old.get("items", {}) != {} or new.get("items", {}) != {}):
            yield from self.of(old.get("items", {}), new.get("items", {}), side, f"{place}[]")

    def _of_fields(self, old: dict[str, Any], new: dict[str, Any], place: str) -> Iterator[Difference]:
        written, read = named_in(old.get("properties")), named_in(new.get("properties"))
        others = _others(old, is_closed=self.closes), _others(new, is_closed=False)
        for name in sorted(written.keys() | read.keys()):
            where = f"{place}.{name}"
            if name in written and name in read:
                yield from self.of(written[name], read[name], Side.REQUEST, where)
            elif name in written:
                yield from self._of_unread(written[name], others[1], where)
            else:
                yield from self._of_unwritten(others[0], read[name], where)
        yield from self._of_others(*others, place)
        needed = texts_in(old.get("required")), texts_in(new.get("required"))
        for name in sorted(needed[1] - needed[0]):
            sentence = "It is required, and events may lack it."
            yield Difference(f"{place}.{name}", "property-required", Effect.BREAKING, sentence)
        for name in sorted(needed[0] - needed[1]):
            sentence = "It is required no longer: events have it all the same."
            yield Difference(f"{place}.{name}", "property-optional", Effect.COMPATIBLE, sentence)

    def _of_unread(self, written: Any, others: Any, where: str) -> Iterator[Difference]:
        if others is False:
            yield Difference(where, "property-refused", Effect.BREAKING, "Events have it, and it is refused.")
        elif others is True:
            yield Difference(where, "property-unread", Effect.COMPATIBLE, "Events have it; it is left unread.")
        else:
            yield from self.of(written, others, Side.REQUEST, where)

    def _of_unwritten(self, others: Any, read: Any, where: str) -> Iterator[Difference]:
        if others is False or read in (True, {}):
            yield Difference(where, "property-unwritten", Effect.COMPATIBLE, "It is described; events don't have it.")
        elif others is True:
            sentence = "It is described; events are open, so anything may stand under that name in them."
            yield Difference(where, "property-open", Effect.BREAKING, sentence)
        else:
            yield from self.of(others, read, Side.REQUEST, where)

    def _of_others(self, written: Any, read: Any, place: str) -> Iterator[Difference]:
        if written is False or read is True or written == read:
            return
        if read is False:
            sentence = "Properties beyond the described ones are refused, and events may have some."
            yield Difference(place, "object-closed", Effect.BREAKING, sentence)
        else:
            yield from self.of(written, read, Side.REQUEST, f"{place}.*")


def _others(schema: dict[str, Any], *, is_closed: bool) -> Any:
    """Return what stands for properties that are not described: a schema, True for anything, False for none."""
    found = others_of(schema)
    if found is None:
        return not is_closed
    return True if found == {} else found


def _kinds(schema: dict[str, Any]) -> set[str]:
    values = schema.get("enum")
    if not isinstance(values, list):
        return kinds_of(schema)
    return kinds_of(schema) & {name for value in values for name in _KINDS.get(type(value), ())}


def _of_values(old: dict[str, Any], new: dict[str, Any], place: str) -> Iterator[Difference]:
    sets = (("type", _kinds(old), kinds_of(new)), ("enum", values_of(old), values_of(new)))
    for what, written, read in sets:
        gone, more = ", ".join(sorted(lacking(written, read)))[:200], ", ".join(sorted(lacking(read, written)))[:200]
        if gone:
            yield Difference(place, f"{what}-narrowed", Effect.BREAKING, f"Events may be {gone}, which is refused.")
        elif more:
            yield Difference(place, f"{what}-widened", Effect.COMPATIBLE, f"It may also be {more}.")
    for name in sorted((LOWER | UPPER) & (old.keys() | new.keys())):
        if old.get(name) != new.get(name):
            yield _limit(name, old.get(name), new.get(name), place)


def _limit(name: str, old: Any, new: Any, place: str) -> Difference:
    told = f"{name} goes from {'none' if old is None else old} to {'none' if new is None else new}"[:300]
    if not all(value is None or isinstance(value, int | float) for value in (old, new)):
        return Difference(place, "limit-changed", Effect.UNDECIDED, f"{told}.")
    if new is not None and (old is None or (new > old if name in LOWER else new < old)):
        return Difference(place, "limit-narrowed", Effect.BREAKING, f"{told}: some events are refused.")
    return Difference(place, "limit-widened", Effect.COMPATIBLE, f"{told}.")
