"""Ten changes that break somebody and ten that do not, each with the verdict of a person; hostile input."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.releases.contracts import documents
from apps.releases.contracts.changes import Change, Effect
from apps.releases.contracts.openapi import compare, operations
from apps.releases.contracts.subschemas import Child

ORDER = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "state": {"type": "string", "enum": ["open", "paid"]},
        "note": {"type": "string"},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
    },
}
WISH = {
    "type": "object",
    "required": ["item"],
    "properties": {
        "item": {"type": "string", "maxLength": 40},
        "size": {"type": "string", "enum": ["s", "m"]},
        "count": {"type": "integer", "maximum": 9},
    },
}
SHOP: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1.0.0"},
    "paths": {
        "/orders/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {
                "parameters": [{"name": "lang", "in": "query", "schema": {"type": "string"}}],
                "responses": {
                    "200": {
                        "description": "It",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
                    }
                },
            },
            "delete": {"responses": {"204": {"description": "Gone"}}},
        },
        "/orders": {
            "post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wish"}}}},
                "responses": {"201": {"description": "Made"}},
            }
        },
    },
    "components": {"schemas": {"Order": ORDER, "Wish": WISH}},
}
GET, POST = "GET /orders/{id}", "POST /orders"
ONE, ALL = ("paths", "/orders/{id}"), ("paths", "/orders", "post")
_ORDER, _WISH = ("components", "schemas", "Order"), ("components", "schemas", "Wish")
GONE = object()


def never(inner: Any, outer: Any) -> bool | None:
    raise AssertionError("a rule decides it")


def changed(*edits: tuple[tuple[Any, ...], Any]) -> dict[str, Any]:
    document = copy.deepcopy(SHOP)
    for (*way, last), value in edits:
        node: Any = document
        for step in way:
            node = node[step]
        if value is GONE:
            del node[last]
        elif isinstance(node, list):
            node.insert(last, value)
        else:
            node[last] = value
    return document


def parameter(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}, **more}


BREAKING = {
    "operation-removed": [((*ONE, "delete"), GONE)],
    "required-parameter-added": [((*ONE, "get", "parameters", 1), parameter("tenant", required=True))],
    "parameter-required": [((*ONE, "get", "parameters", 0, "required"), True)],
    "request-property-required": [((*_WISH, "required"), ["item", "count"])],
    "request-enum-narrowed": [((*_WISH, "properties", "size", "enum"), ["s"])],
    "request-limit-narrowed": [((*_WISH, "properties", "count", "maximum"), 5)],
    "response-property-removed": [((*_ORDER, "properties", "note"), GONE)],
    "response-type-changed": [((*_ORDER, "properties", "note", "type"), "integer")],
    "response-enum-widened": [((*_ORDER, "properties", "state", "enum"), ["open", "paid", "lost"])],
    "security-narrowed": [((*ALL, "security"), [{"key": []}])],
}
HARMLESS: dict[str, list[tuple[tuple[Any, ...], Any]]] = {
    "operation-added": [((*ONE, "put"), {"responses": {}})],
    "optional-parameter-added": [((*ONE, "get", "parameters", 1), parameter("page"))],
    "request-property-added": [((*_WISH, "properties", "gift"), {"type": "boolean"})],
    "request-property-optional": [((*_WISH, "required"), [])],
    "request-enum-widened": [((*_WISH, "properties", "size", "enum"), ["s", "m", "l"])],
    "request-limit-widened": [((*_WISH, "properties", "item", "maxLength"), 80)],
    "response-property-added": [((*_ORDER, "properties", "made"), {"type": "string"})],
    "response-enum-narrowed": [((*_ORDER, "properties", "state", "enum"), ["open"])],
    "deprecation-changed": [((*ALL, "deprecated"), True)],
    "error-added": [((*ALL, "responses", "409"), {"description": "No"})],
}


def found(new: dict[str, Any], old: dict[str, Any] = SHOP, **more: Any) -> tuple[Change, ...]:
    return compare(old, new, **{"judge": never, **more})


@pytest.mark.parametrize("rule", BREAKING)
def test_what_breaks_callers_is_named(rule: str) -> None:
    changes = found(changed(*BREAKING[rule]))

    assert [(change.rule, change.effect) for change in changes] == [(rule, Effect.BREAKING)]


@pytest.mark.parametrize("rule", HARMLESS)
def test_what_harms_nobody_is_told_from_it(rule: str) -> None:
    changes = found(changed(*HARMLESS[rule]))

    assert [(change.rule, change.effect) for change in changes] == [(rule, Effect.COMPATIBLE)]


def test_a_change_is_named_by_its_operation_its_place_and_a_sentence() -> None:
    (change,) = found(changed(*BREAKING["response-property-removed"]))

    assert (change.operation, change.place) == (GET, "response 200 application/json.note")
    assert change.sentence == "The property is gone from the answer: callers that read it find nothing."


@pytest.mark.parametrize(
    "edit",
    [
        ((*_ORDER, "properties", "note", "format"), "date"),
        ((*_WISH, "properties", "count"), GONE),
        ((*_WISH, "properties", "size", "type"), {"a": 1}),
        ((*_WISH, "additionalProperties"), False),
        ((*_WISH, "if"), {"required": ["count"]}),
        ((*ONE, "get", "parameters"), []),
        ((*ALL, "callbacks"), {"paid": {}}),
        ((*ALL, "requestBody"), {"$ref": "https://example.com/body.json"}),
        ((*ALL, "requestBody"), {"$ref": "#/components/nothing"}),
        ((*ALL, "responses"), 5),
        (("servers",), [{"url": "/v2"}]),
        (("webhooks",), {"paid": {}}),
    ],
)
def test_what_no_rule_decides_needs_a_person(edit: Any) -> None:
    assert {change.effect for change in found(changed(edit))} == {Effect.UNDECIDED}


def test_a_schema_that_no_property_explains_is_judged_as_a_whole() -> None:
    size = (*_WISH, "properties", "size")
    either = {"anyOf": [{"type": "string", "enum": ["s", "m"]}, {"type": "integer"}]}
    with Child() as judge:
        (wider,) = found(changed((size, either)), judge=judge)
        (narrower,) = found(SHOP, changed((size, either)), judge=judge)
    (unknown,) = found(changed((size, either)), judge=lambda inner, outer: None)

    assert [change.effect for change in (wider, narrower, unknown)] == [
        Effect.COMPATIBLE,
        Effect.BREAKING,
        Effect.UNDECIDED,
    ]


def test_a_judge_that_takes_too_long_leaves_it_to_a_person_and_goes_on() -> None:
    hard = {"type": "string", "pattern": "^(a|b|ab|ba|aab){1,300}(c|d|cd){1,300}$"}
    with Child(seconds=0.3) as judge:
        assert judge(hard, {"type": "string", "pattern": "^(a|b)*(c|d|ccd){1,400}$"}) is None
    with Child() as judge:
        assert judge({"type": "integer"}, {"type": "number"}) is True


def test_what_a_path_calls_its_parameters_is_no_change() -> None:
    new = changed()
    path = new["paths"].pop("/orders/{id}")
    path["parameters"][0]["name"] = "order"
    new["paths"]["/orders/{order}"] = path

    assert found(new) == ()


@pytest.mark.parametrize("path", [(*_ORDER, "description"), (*ALL, "summary"), ("info", "version"), ("x-by",)])
def test_words_are_no_change(path: tuple[str, ...]) -> None:
    assert found(changed((path, "another"))) == ()


def test_a_part_moved_behind_a_reference_is_no_change() -> None:
    new = changed((("components", "schemas", "Count"), {"type": "integer", "maximum": 9}),
                  ((*_WISH, "properties", "count"), {"$ref": "#/components/schemas/Count"}))  # fmt: skip

    assert found(new) == ()


SCHEMAS = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "boolean"])})
    | st.fixed_dictionaries({"enum": st.lists(st.integers(0, 5), min_size=1)})
    | st.just({"$ref": "#/components/schemas/Order"}),
    lambda inner: (
        st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2)})
    ),
    max_leaves=5,
)


@given(SCHEMAS, SCHEMAS)
def test_a_document_compared_with_itself_has_no_change(one: Any, two: Any) -> None:
    document = changed((_WISH, one), ((*_ORDER, "properties", "note"), two))

    assert found(copy.deepcopy(document), document) == ()


@given(SCHEMAS, SCHEMAS)
def test_a_property_that_may_be_sent_more_never_breaks(one: Any, more: Any) -> None:
    old = changed(((*_WISH, "properties", "size"), one))
    new = copy.deepcopy(old)
    new["components"]["schemas"]["Wish"]["properties"]["gift"] = more

    assert [change.effect for change in found(new, old)] == [Effect.COMPATIBLE]


def test_yaml_and_json_are_read_alike() -> None:
    yaml = b"openapi: 3.0.3\npaths:\n  /a:\n    get:\n      responses:\n        200: {description: 2026-01-01}\n"
    written = {"openapi": "3.0.3", "paths": {"/a": {"get": {"responses": {"200": {"description": "2026-01-01"}}}}}}

    assert documents.read(yaml) == documents.read(json.dumps(written).encode()) == written
    assert operations(SHOP) == 3


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"a: [",
        b"[1]",
        b"swagger: '2.0'",
        b"openapi: 3.1.0",
        b"openapi: 3.1.0\npaths: [1]",
        b"openapi: 3.1.0\npaths: {/a: 5}",
        b"openapi: 3.1.0\ncomponents: {securitySchemes: 5}",
        b"a: !!python/object/apply:os.system [id]",
        b'{"a":' * 5000,
        b"a: " + b"[" * 5000,
        b"a: &a [*a]",
        b"a0: &a0 [1]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)),
    ],
)
def test_what_is_no_description_is_refused(source: bytes) -> None:
    with pytest.raises(documents.Unreadable):
        documents.read(source)
