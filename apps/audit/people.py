"""Names of people stay out of what is sealed: in its texts a token `person:<id>` stands for each (ADR 0104)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# What a sentence of ours may say of people; texts that people typed hold what they typed.
TEXTS = ("summary", "reason", "change", "approval")


def names_of(people: Iterable[object]) -> dict[str, str]:
    """Return names by id: of any objects with `pk` and a text, since audit knows no user model."""
    return {str(person.pk): str(person)[:150] for person in people}  # type: ignore[attr-defined]


def impersonal(event: Mapping[str, Any], *, usual: Mapping[str, str], named: Mapping[str, str]) -> dict[str, Any]:
    """Return what `record_event` is told beside an event that names people: `sealed` texts, and `people` they are.

    Shapes: names by id. `usual` are the event's own actor and target, whom only its summary names; `named` may stand
    in any text. Nothing is returned where nobody is named.
    """
    told = {**event, "target_label": event["target"]["label"]}
    sealed = {"summary": without_names(told["summary"], {**usual, **named})}
    if named:
        sealed |= {name: without_names(told[name], named) for name in (*TEXTS[1:], "target_label")}
    sealed = {name: text for name, text in sealed.items() if text != told[name]}
    if not sealed:
        return {}
    found = str(sealed)
    people = {key: name for key, name in named.items() if key not in usual and f"person:{key}" in found}
    return {"sealed": sealed, "people": people}


def without_names(value: Any, names: Mapping[str, str]) -> Any:
    """Return a plain value with the token in place of each name that stands in its texts as words of their own."""
    keys = {name: key for key, name in names.items() if name}
    if not keys:
        return value
    longest_first = sorted(keys, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    return _replaced(value, pattern, keys)


def _replaced(value: Any, pattern: re.Pattern[str], keys: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(lambda found: f"person:{keys[found[0]]}", value)
    if isinstance(value, Mapping):
        return {name: _replaced(inner, pattern, keys) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(inner, pattern, keys) for inner in value]
    return value
