"""How long what is taken away was promised to stay, as the description before says it."""

import copy
from typing import Any

import pytest

from apps.releases.contracts.changes import Change, last_to_end
from apps.releases.contracts.openapi import compare
from tests.releases.test_api_changes import SHOP, changed, never

GONE = ("paths", "/orders/{id}", "delete")


def removed(**said: Any) -> Change:
    """Take an operation away from a description that says this at the top, in `info`, at the path and at it."""
    old = copy.deepcopy(SHOP)
    path = old["paths"]["/orders/{id}"]
    for name, node in (("top", old), ("info", old["info"]), ("path", path), ("operation", path["delete"])):
        if name in said:
            node["x-sunset"] = said[name]
    new = copy.deepcopy(old)
    del new["paths"]["/orders/{id}"]["delete"]
    (change,) = compare(old, new, judge=never)
    return change


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ({}, ""),
        ({"operation": "2027-03-01"}, "2027-03-01"),
        ({"operation": "2027-03-01T12:00:00Z", "path": "2028-01-01"}, "2027-03-01"),
        ({"path": "2028-01-01", "info": "2029-01-01"}, "2028-01-01"),
        ({"info": "2029-01-01"}, "2029-01-01"),
        ({"top": "2030-01-01"}, "2030-01-01"),
        ({"operation": "soon", "path": ["x"], "info": None}, ""),
    ],
)
def test_an_operation_stays_until_the_day_that_is_said_nearest_to_it(said: dict[str, Any], until: str) -> None:
    assert (removed(**said).rule, removed(**said).sunset) == ("operation-removed", until)


@pytest.mark.parametrize(
    ("before", "after", "rules"),
    [
        (["https://a.example/v1"], ["https://a.example/v2"], ["version-removed"]),
        (["/v1", "/v2"], ["/v2"], ["version-removed"]),
        (["/v1"], ["/v1", "/v2"], ["server-added"]),
        (["/v1"], ["https://b.example/v1"], ["servers-changed"]),
        (["/vat"], ["/"], ["servers-changed"]),
    ],
)
def test_a_version_is_gone_when_no_address_has_it(before: list[str], after: list[str], rules: list[str]) -> None:
    old, new = (changed((("servers",), [{"url": url} for url in urls])) for urls in (before, after))

    found = compare({**old, "x-sunset": "2027-01-31"}, new, judge=never)

    assert [change.rule for change in found] == rules
    assert [change.sunset for change in last_to_end(found)] == ["2027-01-31"] * (rules == ["version-removed"])
