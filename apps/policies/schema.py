"""The JSON Schema of a policy document, for editors: made from what `documents.py` reads by, so that both agree."""

from typing import Any

from apps.environments.enums import Tier
from apps.policies import documents
from apps.policies.checklists import Phase
from apps.policies.clauses import Gate, Owner, When
from apps.policies.needs import MOST_NEEDS, Rule
from apps.policies.settings import (
    DATA,
    DATA_DAYS,
    NEED,
    NEED_OPTIONAL,
    OPTIONAL_SETTINGS,
    REMINDERS,
    RULES,
    SETTINGS,
    TRAIT_PATHS,
)
from apps.policies.verification import AT_MOST, LONGEST_SECONDS, WithoutTraffic

_COUNT = {"type": "integer", "minimum": 1}
_TEXT = {"type": "string", "pattern": r"\S"}


def policy_schema() -> dict[str, Any]:
    """This function will describe a policy document in JSON Schema 2020-12.

    Not said by it, and found by `documents.parse`: ids and gates that stand twice, more breaches than samples, an
    escalation before its reminder, emergencies that nobody approves, lines that go by a clause that is not there.
    """
    verification = _object(
        {
            **{name: {**_COUNT, "maximum": most} for name, most in AT_MOST},
            "most_p95_percent": {"type": "integer", "minimum": 101, "maximum": dict(AT_MOST)["most_p95_percent"]},
            "without_traffic": {"enum": list(WithoutTraffic)},
        }
    )
    reminders = _object({name: dict(setting.schema) for name, setting in REMINDERS.items()})
    traits = _object({name: dict(setting.schema) for name, setting in TRAIT_PATHS.items()})
    limits = dict.fromkeys(documents.LIMITS, _COUNT) | {"ready_hours": {"type": ["integer", "null"], "minimum": 1}}
    fields = {
        "schema": {"const": documents.SCHEMA},
        "tier": {"enum": list(Tier.values)},
        "strategy": {"enum": list(documents.STRATEGIES)},
        "limits": _object(limits, required=documents.LIMITS),
        "clauses": _clauses(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The policy of a tier",
        **_object(
            {
                **fields,
                "verification": verification,
                "reminders": reminders,
                "traits": traits,
                "data": _data(),
                "requirements": _requirements(),
            },
            required=tuple(fields),
        ),
        "allOf": [*(_shorter(tier, most) for tier, most in LONGEST_SECONDS.items()), _none_in_production()],
    }


def _data() -> dict[str, Any]:
    settings = {name: dict(setting.schema) for name, setting in {**DATA, **DATA_DAYS}.items()}
    empty = {"properties": {"kinds": {"maxItems": 0}}}
    without = {"not": {"anyOf": [{"required": [name]} for name in DATA_DAYS]}}
    return {**_object(settings, required=tuple(DATA)), "if": empty, "then": without}


def _none_in_production() -> dict[str, Any]:
    none = {"properties": {"kinds": {"maxItems": 0}}}
    return {"if": {"properties": {"tier": {"const": Tier.PRODUCTION}}}, "then": {"properties": {"data": none}}}


def _requirements() -> dict[str, Any]:
    settings = {name: dict(setting.schema) for name, setting in {**NEED, **NEED_OPTIONAL, **RULES}.items()}
    of_setting = [rule for rule in RULES if rule != Rule.LEAST_TLS]
    rules = [{"required": [rule, "key"], "not": {"required": [Rule.LEAST_TLS]}} for rule in of_setting]
    others = [{"required": [name]} for name in (*NEED_OPTIONAL, *of_setting)]
    probed = {"required": [Rule.LEAST_TLS], "not": {"anyOf": others}}
    need = {**_object(settings, required=tuple(NEED)), "oneOf": [*rules, probed]}
    return {"type": "array", "maxItems": MOST_NEEDS, "items": need}


def _clauses() -> dict[str, Any]:
    clause = _object(
        {
            "id": {"type": "string", "pattern": rf"^{documents._CLAUSE_ID.pattern}$"},
            "gate": {"enum": list(Gate)},
            "text": _TEXT,
            "source": _TEXT,
            "owner": {"enum": list(Owner)},
            "when": {"enum": list(When)},
            "settings": {"type": "object"},
        },
        required=("id", "gate", "text", "source"),
    )
    present = [
        {"contains": {"properties": {"gate": {"const": gate}}, "required": ["gate"]}} for gate in documents.ALWAYS
    ]
    return {"type": "array", "items": {**clause, "allOf": [_of_gate(gate) for gate in Gate]}, "allOf": present}


def _of_gate(gate: Gate) -> dict[str, Any]:
    expected, optional = SETTINGS.get(gate, {}), OPTIONAL_SETTINGS.get(gate, {})
    settings = {name: dict(setting.schema) for name, setting in (*expected.items(), *optional.items())}
    rule: dict[str, Any] = {"properties": {"settings": _object(settings, required=tuple(expected))}}
    if gate == Gate.CHECKLIST:
        rule["properties"]["settings"] |= {
            "if": {"properties": {"phase": {"const": Phase.POST}}},
            "then": {"required": ["hours"]},
            "else": {"not": {"required": ["hours"]}},
        }
    if expected:
        rule["required"] = ["settings"]
    if gate in documents.ALWAYS:
        rule["properties"] |= {"owner": {"const": Owner.ALL}, "when": {"const": When.ALWAYS}}
    return {"if": {"properties": {"gate": {"const": gate}}}, "then": rule}


def _shorter(tier: str, most: int) -> dict[str, Any]:
    limit = {"properties": {"limit_seconds": {"maximum": most}}}
    return {"if": {"properties": {"tier": {"const": tier}}}, "then": {"properties": {"verification": limit}}}


def _object(properties: dict[str, Any], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    rows: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**rows, "required": list(required)} if required else rows
