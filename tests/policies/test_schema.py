import copy
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from apps.policies.clauses import REPORTED
from apps.policies.documents import InvalidPolicy, parse
from apps.policies.schema import policy_schema
from tests.policies.documents import AFTERWARDS, REQUIREMENTS, clause, make_document

PUBLISHED = Path(__file__).resolve().parents[2] / "static" / "schemas" / "policy-1.json"
VALIDATOR = Draft202012Validator(policy_schema())
TERMS = {"limit_seconds": 60, "samples": 5, "breaches": 3, "most_p95_percent": 200, "without_traffic": "PASS"}
REMINDERS = {"remind_hours": 2, "escalate_hours": 9, "escalate_to": "SECURITY"}
WHOLE = make_document(
    "previous_tier",
    "window",
    "rollback_readiness",
    "recovery",
    "api_compatibility",
    "checklist",
    "event_compatibility",
    *REPORTED,
    roles=("DEVOPS",),
    verification=TERMS,
    reminders=REMINDERS,
    requirements=REQUIREMENTS,
    tier="STAGING",
    data={"kinds": ["ANONYMISED"], "refreshed_days": 7, "kept_days": 30},
)
WHOLE["clauses"].append(clause(30, "checklist", settings=AFTERWARDS))
WORDS = ["", " ", "x", "PROD-9", "CUSTOMER", "POST", "window", "hold", "UNIT", "PRODUCTION"]
VALUES = [None, True, 0, -1, 1.5, 5, 101, 121, 10**7, "KEY", *WORDS, [], ["UNIT"], {}]


def places(value, *path):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, *path, key)


def is_read(document):
    try:
        parse(document)
    except InvalidPolicy as error:
        # What concerns several rows can't be said by a schema.
        told = (
            "stands there twice",
            "at most as many as samples",
            "expected more than remind_hours",
            "expected the id of a clause of this policy",
        )
        return all(any(words in row for words in told) for row in error.problems)
    return True


def test_the_published_schema_is_of_the_code():
    assert json.loads(PUBLISHED.read_text()) == policy_schema()


def test_the_schema_is_one():
    Draft202012Validator.check_schema(policy_schema())


@given(st.sampled_from(list(places(WHOLE))), st.sampled_from(["set", "drop", "more"]), st.sampled_from(VALUES))
def test_schema_and_reader_agree_on_any_change_of_a_document(path, what, value):
    document = copy.deepcopy(WHOLE)
    place = document
    for key in path[:-1]:
        place = place[key]
    if what == "drop":
        del place[path[-1]]
    elif what == "more" and isinstance(place, dict):
        place["more"] = value
    else:
        place[path[-1]] = copy.deepcopy(value)

    assert VALIDATOR.is_valid(document) == is_read(document)
