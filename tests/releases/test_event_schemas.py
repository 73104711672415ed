"""What readers of one schema make of events of another, each verdict by a person; and lists that nobody vouches for."""

import json
import socket
from typing import Any

import pytest

from apps.releases.contracts.apart import compare_schemas_apart
from apps.releases.contracts.changes import Effect
from apps.releases.contracts.events import compare
from apps.releases.contracts.subschemas import Child
from apps.releases.reports import Unreadable, read
from tests.releases.events import ORDER, STRICTER, WITH_CURRENCY, event, listed

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}


def one(schema: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, **fields}


# (old, new, closed, rules that break new readers, rules that break old readers)
PAIRS = {
    "the same": (ORDER, ORDER, False, [], []),
    "words": (one(TEXT), one({**TEXT, "description": "A name"}), False, [], []),
    "added to closed": (ORDER, WITH_CURRENCY, True, [], []),
    "added to open": (ORDER, WITH_CURRENCY, False, ["$.currency property-open"], []),
    "anything added to open": (ORDER, {**ORDER, "properties": {**ORDER["properties"], "x": {}}}, False, [], []),
    "removed from closed": (WITH_CURRENCY, ORDER, True, [], []),
    "required": (ORDER, STRICTER, True, ["$.total property-required"], []),
    "required no longer": (STRICTER, ORDER, True, [], ["$.total property-required"]),
    "widened type": (one(WHOLE), one(NUMBER), True, [], ["$.a type-narrowed"]),
    "another type": (one(TEXT), one(NUMBER), True, ["$.a type-narrowed"], ["$.a type-narrowed"]),
    "more values": (one({"enum": ["x"]}), one({"enum": ["x", "y"]}), True, [], ["$.a enum-narrowed"]),
    "values of a type": (one({"enum": ["x"]}), one(TEXT), True, [], ["$.a enum-narrowed"]),
    "lower limit": (one({**NUMBER, "minimum": 5}), one({**NUMBER, "minimum": 0}), True, [], ["$.a limit-narrowed"]),
    "closed by itself": (
        one(TEXT), one(TEXT, additionalProperties=False), False, ["$ object-closed"], [],
    ),
    "described others": (
        {"type": "object", "additionalProperties": NUMBER}, one(NUMBER, additionalProperties=NUMBER), False, [], [],
    ),
    "in a list": (one({"items": WHOLE}), one({"items": NUMBER}), True, [], ["$.a[] type-narrowed"]),
    "by reference": (
        {**one({"$ref": "#/$defs/m"}), "$defs": {"m": WHOLE}}, {**one({"$ref": "#/$defs/m"}), "$defs": {"m": NUMBER}},
        True, [], ["$.a type-narrowed"],
    ),
    "to itself": (
        {**one({"$ref": "#/$defs/m"}), "$defs": {"m": one({"$ref": "#/$defs/m"})}},
        {**one({"$ref": "#/$defs/m"}), "$defs": {"m": one({"$ref": "#/$defs/m"}, required=["a"])}},
        True, ["$.a.a property-required"], [],
    ),
    "a union": (one({"anyOf": [TEXT]}), one({"anyOf": [TEXT, NUMBER]}), True, [], ["$.a schema-narrowed"]),
    "a keyword nobody knows": (
        one({**TEXT, "contentEncoding": "base64"}), one(TEXT), True, ["$.a schema-changed?"], ["$.a schema-changed?"],
    ),
}  # fmt: skip


def broken(old: Any, new: Any, mode: str, judge: Any, *, is_closed: bool) -> list[str]:
    changes = compare({"1.0": old}, new, mode=mode, is_closed=is_closed, judge=judge)
    bad = [change for change in changes if change.effect != Effect.COMPATIBLE]
    return [f"{change.place} {change.rule}{'?' if change.effect == Effect.UNDECIDED else ''}" for change in bad]


def test_each_change_names_its_path_and_its_rule() -> None:
    with Child(seconds=20) as judge:
        for name, (old, new, is_closed, backward, forward) in PAIRS.items():
            assert broken(old, new, "BACKWARD", judge, is_closed=is_closed) == backward, name
            assert broken(old, new, "FORWARD", judge, is_closed=is_closed) == forward, name
            assert broken(old, new, "FULL", judge, is_closed=is_closed) == [*backward, *forward], name


def test_a_schema_is_beside_every_lower_one_in_a_process_of_its_own() -> None:
    found = compare_schemas_apart(
        {"1.0": json.dumps(ORDER), "1.1": json.dumps(STRICTER)}, json.dumps(STRICTER), mode="BACKWARD", is_closed=True
    )

    assert [(change.operation, change.rule) for change in found.changes] == [
        ("reads events of 1.0", "property-required")
    ]
    assert (found.count(Effect.BREAKING), found.is_whole) == (1, True)
    slow = compare_schemas_apart({}, "{}", mode="FULL", is_closed=True, seconds=0.01)
    assert (slow.is_whole, slow.count(Effect.UNDECIDED)) == (False, 1)


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (b"[]", "not an object"),
        (b"{}", "exactly one field"),
        (b'{"events": {}}', "expected a list"),
        (b'{"events": [{"subject": "a"}]}', "events[0]: expected the fields"),
        (listed(event(subject="a b")), "events[0].subject"),
        (listed(event(subject="a\u0000")), "events[0].subject"),
        (listed(event(subject="x" * 121)), "events[0].subject"),
        (listed(event("1")), "events[0].version"),
        (listed(event("0.1")), "events[0].version"),
        (listed(event("1.99999999999")), "events[0].version"),
        (listed(event(mode="backward")), "one of BACKWARD, FORWARD, FULL"),
        (listed(event(closed="yes")), "true or false"),
        (listed(event(), event("1.1")), "stands there twice"),
        (listed(*[event(f"{n}.0") for n in range(1, 202)]), "at most 200"),
        (listed(event(schema=[])), "expected an object"),
        (listed(event(schema={"$schema": {}})), "expected an object"),
        (listed(event(schema={"type": "strange"})), "events[0].schema.type: 'strange' is not valid"),
        (listed(event(schema={"properties": {"a": {"$ref": "https://example.com/a"}}})), "nothing is fetched"),
        (listed(event(schema={"items": {"$id": "https://example.com/a"}})), "$id is not read here"),
        (listed(event(schema={"$dynamicRef": "#a"})), "$dynamicRef is not read here"),
        (listed(event(schema=deep(40))), "nested too deeply"),
        (b'{"events": [' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]}", "nested too deeply"),
        (listed(event(schema={"description": "x" * 200_000})), "100 kB"),
        (listed(event(schema={"maximum": float("inf")})), "a number that JSON has not"),
        (listed(event())[:-5], "not JSON"),
    ],
)
def test_a_list_that_is_none_is_refused_with_its_place(report: bytes, words: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        read("EVENTS", report)

    assert words in str(refusal.value)


def test_what_lies_outside_of_a_schema_is_never_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {}}
        away = f"http://127.0.0.1:{server.getsockname()[1]}/a"
        for name in ("$schema", "$id"):
            assert read("EVENTS", listed(event(schema={**schema, name: away})))["versions"] == 1
        with pytest.raises(Unreadable, match="nothing is fetched"):
            read("EVENTS", listed(event(schema={**schema, "$ref": away})))
        hostile = [json.dumps({"anyOf": [{"$ref": away}, {"type": kind}]}) for kind in ("string", "number")]
        found = compare_schemas_apart({"1.0": hostile[0]}, hostile[1], mode="FULL", is_closed=False)

        assert {change.effect for change in found.changes} == {Effect.UNDECIDED}
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_list_is_counted_and_its_schemas_are_written_in_one_way() -> None:
    figures = read("EVENTS", listed(event(), event("2.0"), event(subject="orders.paid")))
    turned = dict(reversed(ORDER.items()))

    assert (figures["subjects"], figures["versions"]) == (2, 3)
    assert figures["published"][0].digest == read("EVENTS", listed(event(schema=turned)))["published"][0].digest
