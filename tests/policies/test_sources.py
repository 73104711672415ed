import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from apps.policies.clauses import Gate
from apps.policies.documents import InvalidPolicy, parse
from apps.policies.sources import DEEPEST, LARGEST_BYTES, InvalidSource, Mistake, read, written
from tests.policies.documents import make_document

GOOD = yaml.safe_dump(make_document("window", roles=("DEVOPS",)), sort_keys=False)


def mistakes_in(text: str | bytes) -> tuple[Mistake, ...]:
    with pytest.raises(InvalidSource) as caught:
        read(text.encode() if isinstance(text, str) else text)
    return caught.value.mistakes


def test_a_text_becomes_the_document_that_is_kept():
    document, policy = read(GOOD.encode())

    assert document == make_document("window", roles=("DEVOPS",))
    assert policy.clause_of(Gate.WINDOW).number("lasting_minutes") == 15


def test_every_mistake_has_its_line_and_column():
    text = GOOD.replace("lasting_minutes: 15", "lasting_minutes: soon").replace("tier: PRODUCTION", "tier: MOON")

    found = mistakes_in(text)

    lines = text.splitlines()
    assert [(lines[row.line - 1][row.column - 1 :], row.reason.split(":")[0]) for row in found] == [
        ("tier: MOON", "tier"),
        ("lasting_minutes: soon", "clauses[5].settings.lasting_minutes"),
    ]


def test_what_is_missing_is_placed_where_it_should_stand():
    (found,) = mistakes_in(GOOD.replace("  ready_hours: null\n", ""))

    assert GOOD.splitlines()[found.line - 1] == "limits:"
    assert found.reason == "limits.ready_hours: expected a whole number above 0."


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", Mistake(1, 1, "The text is empty.")),
        ("schema: 1\ntier: DEV\nschema: 1\n", Mistake(3, 1, "schema: stands there twice.")),
        ("a: &x 1\nb: *x\n", Mistake(1, 4, "Anchors and aliases are not allowed: write the value out.")),
        ("a: 1\n---\nb: 1\n", Mistake(2, 1, "Expected one document in a text.")),
        ("a: [1\nb: 2\n", Mistake(2, 2, "This is not YAML: expected ',' or ']', but got ':'.")),
        (b"a: 1\nb: \xff", Mistake(2, 4, "The text is not UTF-8.")),
        ("a: 1\nb: \x07", Mistake(2, 4, "The text holds a character that YAML forbids.")),
        ("1: a", Mistake(1, 1, "Expected a text as the name of a field.")),
        ("a: !!int soon", Mistake(1, 4, "This is not the number or the word that its tag promises.")),
        ("a: !!bool soon", Mistake(1, 4, "This is not the number or the word that its tag promises.")),
        (
            "a: 2026-01-01",
            Mistake(1, 4, "Expected a text, a number, true, false or null; put quotes around a text."),
        ),
        ("[" * (DEEPEST + 1), Mistake(1, DEEPEST + 1, f"Nested deeper than {DEEPEST} levels.")),
        ("[" * LARGEST_BYTES, Mistake(1, DEEPEST + 1, f"Nested deeper than {DEEPEST} levels.")),
        ("#" * (LARGEST_BYTES + 1), Mistake(1, 1, f"The text is longer than {LARGEST_BYTES} bytes.")),
        ("- 1", Mistake(1, 1, "document: expected an object.")),
    ],
    ids=lambda value: value.reason[:30] if isinstance(value, Mistake) else "",
)
def test_a_text_that_is_no_policy_is_refused_at_its_place(text, mistake):
    assert mistakes_in(text)[0] == mistake


@given(st.binary(max_size=200) | st.text("{}[]-:&*!%@|>?,'\"# \n\tab1~<=.", max_size=80).map(str.encode))
def test_any_bytes_are_refused_in_words(source):
    with pytest.raises(InvalidSource) as caught:
        read(source)

    assert all(found.line >= 1 and found.column >= 1 and found.reason for found in caught.value.mistakes)


@given(
    st.sampled_from(["id", "gate", "text", "source", "owner", "settings"]),
    st.sampled_from([None, True, 0, 1.5, "", [], [1], {}, {"a": []}]),
)
def test_any_value_in_a_clause_is_judged(name, value):
    document = make_document()
    document["clauses"][0][name] = value

    try:
        parse(document)
    except InvalidPolicy as error:
        assert error.problems  # noqa: PT017 - either answer is right, another exception is not


@example("0\x85")
@given(st.text(min_size=1, max_size=40).filter(str.strip))
def test_what_is_written_is_read_back(words):
    document = make_document("window", verification={"samples": 7})
    document["clauses"][0]["text"] = words

    text = written(document, schema_url="https://portal.example/static/schemas/policy-1.json")

    assert text.startswith("# yaml-language-server: $schema=https://portal.example/")
    assert read(text.encode())[0] == document


def test_a_text_with_fields_of_a_policy_in_another_order_is_the_same_policy():
    turned = dict(reversed(make_document("window").items()))

    assert read(yaml.safe_dump(turned).encode())[0] == make_document("window")
