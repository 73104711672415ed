import pytest

from apps.releases.contracts.changes import Effect
from apps.releases.contracts.openapi import compare

READ = {"responses": {"200": {"description": "The order"}}}
WRITE = {"responses": {"201": {"description": "Made"}}}
ORDERS = {"openapi": "3.1.0", "paths": {"/orders": {"get": READ, "post": WRITE}}}


def test_a_document_compared_with_itself_has_no_change():
    assert compare(ORDERS, ORDERS) == ()


@pytest.mark.parametrize(
    ("new", "operation", "rule", "effect"),
    [
        ({"/orders": {"get": READ}}, "POST /orders", "operation-removed", Effect.BREAKING),
        (
            {"/orders": {"get": READ, "post": WRITE, "delete": READ}},
            "DELETE /orders",
            "operation-added",
            Effect.COMPATIBLE,
        ),
        ({"/orders": {"get": WRITE, "post": WRITE}}, "GET /orders", "operation-changed", Effect.UNDECIDED),
    ],
)
def test_a_change_is_named_by_its_operation_and_rule(new, operation, rule, effect):
    (change,) = compare(ORDERS, {**ORDERS, "paths": new})

    assert (change.operation, change.rule, change.effect) == (operation, rule, effect)
    assert change.sentence.startswith(operation)


def test_a_change_of_the_parameters_of_a_path_concerns_each_of_its_operations():
    new = {"/orders": {**ORDERS["paths"]["/orders"], "parameters": [{"name": "tenant", "in": "query"}]}}

    changes = compare(ORDERS, {**ORDERS, "paths": new})

    assert [change.effect for change in changes] == [Effect.UNDECIDED, Effect.UNDECIDED]


@pytest.mark.parametrize("part", [{"components": {"schemas": {}}}, {"security": [{"key": []}]}, {"servers": []}])
def test_what_operations_share_is_never_silently_compatible(part):
    changes = compare(ORDERS, {**ORDERS, **part})

    assert {change.rule for change in changes} == {"shared-parts-changed"}
    assert {change.effect for change in changes} == {Effect.UNDECIDED}


def test_words_about_the_document_are_no_change():
    assert compare(ORDERS, {**ORDERS, "info": {"title": "Orders", "version": "2"}}) == ()


def test_a_path_that_refers_elsewhere_is_undecided_when_what_it_refers_to_changes():
    old = {**ORDERS, "paths": {"/orders": {"$ref": "#/components/pathItems/orders"}}}
    new = {**old, "components": {"pathItems": {"orders": {"get": READ}}}}

    assert [change.effect for change in compare(old, new)] == [Effect.UNDECIDED]
