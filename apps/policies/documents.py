"""Reads a policy document: all its mistakes at once, each with the place where it stands."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from apps.core.canonical import sha256_of
from apps.core.verdict import Invalid
from apps.environments.data_rules import USUAL, DataRules
from apps.environments.enums import Tier
from apps.policies.checklists import Phase
from apps.policies.clauses import Clause, Gate, Owner, TierPolicy, When
from apps.policies.needs import MOST_NEEDS, Rule, need_of
from apps.policies.reminders import Reminders, problem_of
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
    is_whole,
)
from apps.policies.verification import AT_MOST, LONGEST_SECONDS, Terms, WithoutTraffic

SCHEMA = 1
FIELDS = (
    "schema", "tier", "strategy", "limits", "verification", "reminders", "traits", "data", "requirements", "clauses",
)  # fmt: skip
STRATEGIES = ("BLUE_GREEN",)
LIMITS = ("request_days", "decision_days", "ready_hours")
# These stand between a release and a target in every tier; a document explains them, but can't leave them out.
ALWAYS = (Gate.ARTIFACT, Gate.VERSION_ORDER, Gate.QUARANTINE, Gate.FREEZE, Gate.HOLD)
# Several clauses may ask for these in one case.
SEVERAL = (Gate.APPROVALS, Gate.CHECKLIST)
_CLAUSE_ID = re.compile(r"[A-Z]{2,8}-[1-9][0-9]?")


class InvalidPolicy(Invalid):
    """The document does not say a policy. `problems` holds a sentence for each mistake, with its place."""

    code = "invalid_policy"
    next_step = "Correct the document and propose it again. The policy in force stays as it is."

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def parse(document: object) -> TierPolicy:
    """This function will read the rules of a tier from its document.

    Shapes: {"schema": 1, "tier": "QA", "strategy": "BLUE_GREEN", "limits": {"request_days", "decision_days",
    "ready_hours" (may be null)}, "clauses": [{"id", "gate", "text", "source", "owner" (default ALL),
    "when" (default ALWAYS), "settings"}],
    "verification", "reminders" (may be missing, as each of their fields, which are those of `Terms`, `Reminders`),
    "traits" (may be missing: by which changed files a release has a trait), "data" (may be missing, then as everywhere:
    {"kinds", "refreshed_days", "kept_days"}, of which days may be missing, then nothing is asked), "requirements" (may
    be missing: [{"id", "text", "source", one field of `needs.Rule`, "key" and "each" except for `least_tls`}])}.
    Raises InvalidPolicy: with every mistake that was found.
    """
    if not isinstance(document, Mapping):
        raise InvalidPolicy(("document: expected an object.",))
    if problems := tuple(_problems(document)):
        raise InvalidPolicy(problems)
    limits = document["limits"]
    return TierPolicy(
        tier=document["tier"],
        label=Tier(document["tier"]).label,
        strategy=document["strategy"],
        clauses=tuple(_clause(row) for row in document["clauses"]),
        request_lasts=timedelta(days=limits["request_days"]),
        decision_lasts=timedelta(days=limits["decision_days"]),
        ready_lasts=timedelta(hours=limits["ready_hours"]) if limits["ready_hours"] is not None else None,
        verification=terms_of(document.get("verification", {})),
        reminders=Reminders(**document.get("reminders", {})),
        trait_paths={trait: tuple(paths) for trait, paths in document.get("traits", {}).items()},
        needs=tuple(map(need_of, document.get("requirements", ()))),
        data=data_rules_of(document.get("data"), document["tier"]),
    )


def terms_of(row: Mapping[str, Any]) -> Terms:
    """This function will read the terms of a verification; what isn't said is as everywhere."""
    rule = WithoutTraffic(row.get("without_traffic", Terms().without_traffic))
    return Terms(**{**row, "without_traffic": rule})


def data_rules_of(row: Mapping[str, Any] | None, tier: str) -> DataRules:
    """This function will read what a tier asks of data; None, which no policy says, is as everywhere."""
    if row is None:
        return USUAL[tier]
    return DataRules(tuple(row["kinds"]), row.get("refreshed_days"), row.get("kept_days"))


def _clause(row: Mapping[str, Any]) -> Clause:
    owner, settings, when = row.get("owner", Owner.ALL), dict(row.get("settings", {})), When(row.get("when", "ALWAYS"))
    judged = {"id": row["id"], "gate": row["gate"], "owner": owner, "settings": settings}
    if when != When.ALWAYS:  # clauses of before keep their digests, and with them plans and approvals
        judged["when"] = when
    return Clause(
        row["id"], Gate(row["gate"]), row["text"], row["source"], Owner(owner), settings, sha256_of(judged), when
    )


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown("", document, set(FIELDS))
    if document.get("schema") != SCHEMA:
        yield f"schema: expected {SCHEMA}."
    if document.get("tier") not in Tier.values:
        yield f"tier: expected one of {', '.join(Tier.values)}."
    if document.get("strategy") not in STRATEGIES:
        yield f"strategy: expected one of {', '.join(STRATEGIES)}."
    yield from _problems_of_limits(document.get("limits"))
    yield from _problems_of_clauses(document.get("clauses"))
    yield from _problems_of_verification(document.get("verification", {}), document.get("tier"))
    yield from _problems_of_reminders(document.get("reminders", {}))
    yield from _problems_of_traits(document.get("traits", {}))
    if "data" in document:
        yield from _problems_of_data(document["data"], document.get("tier"))
    yield from _problems_of_needs(document.get("requirements", []))


def _problems_of_limits(limits: object) -> Iterator[str]:
    if not isinstance(limits, Mapping):
        yield "limits: expected an object."
        return
    yield from _unknown("limits.", limits, set(LIMITS))
    for name in LIMITS:
        value = limits.get(name)
        may_be_null = name == "ready_hours" and name in limits and value is None
        if not may_be_null and not is_whole(value):
            yield f"limits.{name}: expected a whole number above 0."


def _problems_of_verification(row: object, tier: object) -> Iterator[str]:
    if not isinstance(row, Mapping):
        yield "verification: expected an object."
        return
    numbers = {
        name: LONGEST_SECONDS.get(str(tier), most) if name == "limit_seconds" else most for name, most in AT_MOST
    }
    yield from _unknown("verification.", row, {*numbers, "without_traffic"})
    usual = asdict(Terms())
    values = {name: row.get(name, usual[name]) for name in numbers}
    wrong = [name for name, most in numbers.items() if not is_whole(values[name], 1, most)]
    yield from (f"verification.{name}: expected a whole number from 1 to {numbers[name]}." for name in wrong)
    if not {"breaches", "samples"} & {*wrong} and values["breaches"] > values["samples"]:
        yield "verification.breaches: expected at most as many as samples."
    if "most_p95_percent" not in wrong and values["most_p95_percent"] <= 100:
        yield "verification.most_p95_percent: expected above 100, which is as slow as before."
    if row.get("without_traffic", WithoutTraffic.PASS) not in list(WithoutTraffic):
        yield f"verification.without_traffic: expected one of {', '.join(WithoutTraffic)}."


def _problems_of_reminders(row: object) -> Iterator[str]:
    if not isinstance(row, Mapping):
        yield "reminders: expected an object."
        return
    yield from _unknown("reminders.", row, set(REMINDERS))
    wrong = [name for name, setting in REMINDERS.items() if name in row and not setting.accepts(row[name])]
    yield from (f"reminders.{name}: expected {REMINDERS[name].words}." for name in wrong)
    if not {"remind_hours", "escalate_hours"} & {*wrong} and (problem := problem_of(row)):
        yield f"reminders.{problem}"


def _problems_of_traits(row: object) -> Iterator[str]:
    if not isinstance(row, Mapping):
        yield "traits: expected an object."
        return
    yield from _unknown("traits.", row, set(TRAIT_PATHS))
    wrong = [name for name, setting in TRAIT_PATHS.items() if name in row and not setting.accepts(row[name])]
    yield from (f"traits.{name}: expected {TRAIT_PATHS[name].words}." for name in wrong)


def _problems_of_data(row: object, tier: object) -> Iterator[str]:
    if not isinstance(row, Mapping):
        yield "data: expected an object."
        return
    yield from _unknown("data.", row, {*DATA, *DATA_DAYS})
    given = {name: setting for name, setting in DATA_DAYS.items() if name in row}
    for name, setting in {**DATA, **given}.items():
        if not setting.accepts(row.get(name)):
            yield f"data.{name}: expected {setting.words}."
    if row.get("kinds") == []:
        yield from (f"data.{name}: expected only beside some kinds." for name in given)
    elif tier == Tier.PRODUCTION:
        yield "data.kinds: expected none in PRODUCTION, which holds what its users enter."


def _problems_of_needs(rows: object) -> Iterator[str]:
    if not isinstance(rows, list) or len(rows) > MOST_NEEDS:
        yield f"requirements: expected a list of at most {MOST_NEEDS}."
        return
    for index, row in enumerate(rows):
        place = f"requirements[{index}]"
        if isinstance(row, Mapping):
            yield from _problems_of_need(f"{place}.", row)
        else:
            yield f"{place}: expected an object."
    yield from _repeated("id", [str(row.get("id")) for row in rows if isinstance(row, Mapping)], where="requirements: ")


def _problems_of_need(place: str, row: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(place, row, {*NEED, *NEED_OPTIONAL, *RULES})
    rules = [rule for rule in RULES if rule in row]
    if len(rules) != 1:
        yield f"{place}id: expected one of {', '.join(RULES)} beside it, and no other of them."
    is_probed = rules == [Rule.LEAST_TLS]
    if is_probed and (named := [name for name in NEED_OPTIONAL if name in row]):
        yield f"{place}{named[0]}: expected with no requirement that is probed."
    elif not is_probed and "key" not in row:
        yield f"{place}key: expected {NEED_OPTIONAL['key'].words}."
    for name, setting in {**NEED, **NEED_OPTIONAL, **RULES}.items():
        if (name in row or name in NEED) and not setting.accepts(row.get(name)):
            yield f"{place}{name}: expected {setting.words}."


def _problems_of_clauses(clauses: object) -> Iterator[str]:
    if not isinstance(clauses, list):
        yield "clauses: expected a list."
        return
    for index, clause in enumerate(clauses):
        place = f"clauses[{index}]"
        if isinstance(clause, Mapping):
            yield from _problems_of_clause(f"{place}.", clause)
        else:
            yield f"{place}: expected an object."
    rows = [clause for clause in clauses if isinstance(clause, Mapping)]
    yield from _repeated("id", [str(row.get("id")) for row in rows])
    cases = [
        [row for row in rows if row.get("when", When.ALWAYS) in (When.ALWAYS, case)]
        for case in (When.ORDINARY, When.EMERGENCY)
    ]
    gates = [[str(row.get("gate")) for row in case if row.get("gate") not in SEVERAL] for case in cases]
    yield from dict.fromkeys(problem for case in gates for problem in _repeated("gate", case))
    yield from dict.fromkeys(problem for case in cases for problem in _repeated("checklist", _checklists(case)))
    yield from _problems_of_lines(rows)
    yield from _unapproved(rows)
    present = [row.get("gate") for row in rows]
    yield from (f"clauses: one for the gate {gate} is missing." for gate in ALWAYS if gate not in present)


def _checklists(rows: list[Mapping[str, Any]]) -> list[str]:
    settings = [row.get("settings") for row in rows if row.get("gate") == Gate.CHECKLIST]
    return [str(row["checklist"]) for row in settings if isinstance(row, Mapping) and "checklist" in row]


def _problems_of_lines(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    """What concerns other lines, or other clauses: of the form itself `_problems_of_settings` speaks."""
    others = [row.get("id") for row in rows if row.get("gate") != Gate.CHECKLIST]
    for index, row in enumerate(rows):
        settings = row.get("settings")
        if row.get("gate") != Gate.CHECKLIST or not isinstance(settings, Mapping):
            continue
        found: Any = settings.get("lines")
        if not SETTINGS[Gate.CHECKLIST]["lines"].accepts(found):
            continue
        ids = [line["id"] for line in found]
        yield from (f"clauses[{index}].settings.lines: {problem}" for problem in _repeated("id", ids, where=""))
        for number, line in enumerate(found):
            if "clause" in line and line["clause"] not in others:
                place = f"clauses[{index}].settings.lines[{number}].clause"
                yield f"{place}: expected the id of a clause of this policy that asks for no checklist."


def _unapproved(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    """An emergency may ask fewer people, but not nobody where somebody is asked otherwise.

    Who is asked only for a trait does not count: few emergencies have it.
    """
    approvals = [row for row in rows if row.get("gate") == Gate.APPROVALS and not _is_of_traits(row)]
    for owner in (Owner.PLATFORM, Owner.CUSTOMER):
        asked = [row for row in approvals if row.get("owner", Owner.ALL) in (Owner.ALL, owner)]
        if asked and all(row.get("when") == When.ORDINARY for row in asked):
            yield f"clauses: no approval of {owner} holds in an emergency; at least one has to."


def _is_of_traits(row: Mapping[str, Any]) -> bool:
    settings = row.get("settings")
    return isinstance(settings, Mapping) and "traits" in settings


def _problems_of_clause(place: str, clause: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(place, clause, {"id", "gate", "text", "source", "owner", "when", "settings"})
    if not isinstance(clause.get("id"), str) or not _CLAUSE_ID.fullmatch(clause["id"]):
        yield f"{place}id: expected letters and a number, such as PROD-3."
    for name in ("text", "source"):
        if not isinstance(clause.get(name), str) or not clause[name].strip():
            yield f"{place}{name}: expected a text."
    if clause.get("owner", Owner.ALL) not in list(Owner):
        yield f"{place}owner: expected one of {', '.join(Owner)}."
    if clause.get("when", When.ALWAYS) not in list(When):
        yield f"{place}when: expected one of {', '.join(When)}."
    if clause.get("gate") not in list(Gate):
        yield f"{place}gate: expected one of {', '.join(Gate)}."
        return
    if clause["gate"] in ALWAYS and clause.get("owner", Owner.ALL) != Owner.ALL:
        yield f"{place}owner: the gate {clause['gate']} stands for everybody."
    if clause["gate"] in ALWAYS and clause.get("when", When.ALWAYS) != When.ALWAYS:
        yield f"{place}when: the gate {clause['gate']} stands always."
    yield from _problems_of_settings(place, Gate(clause["gate"]), clause.get("settings", {}))


def _problems_of_settings(place: str, gate: Gate, settings: object) -> Iterator[str]:
    if not isinstance(settings, Mapping):
        yield f"{place}settings: expected an object."
        return
    expected, optional = SETTINGS.get(gate, {}), OPTIONAL_SETTINGS.get(gate, {})
    yield from _unknown(f"{place}settings.", settings, {*expected, *optional})
    given = {name: setting for name, setting in optional.items() if name in settings}
    for name, setting in (given | dict(expected)).items():
        if not setting.accepts(settings.get(name)):
            yield f"{place}settings.{name}: expected {setting.words}."
    if gate == Gate.CHECKLIST and ("hours" in settings) != (settings.get("phase") == Phase.POST):
        yield f"{place}settings.hours: expected with phase POST, and with no other."


def _unknown(place: str, row: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    yield from (f"{place}{name}: unknown." for name in sorted(set(map(str, row)) - known))


def _repeated(name: str, values: list[str], *, where: str = "clauses: ") -> Iterator[str]:
    twice = sorted({value for value in values if values.count(value) > 1})
    yield from (f"{where}the {name} {value} stands there twice." for value in twice)
