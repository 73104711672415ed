"""What the settings of clauses must be: for the reader of documents, for people, and in JSON Schema alike."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.configuration import secrecy
from apps.environments.data_rules import BROUGHT
from apps.policies.checklists import Phase
from apps.policies.clauses import WAIVABLE, Gate, StepUp
from apps.policies.evidence import LONGEST_ACCEPTED_DAYS, SUITES, TOLERATED
from apps.policies.needs import INTERVALS, TLS_VERSIONS, Rule
from apps.policies.reminders import LONGEST_HOURS
from apps.policies.ways_back import UNKNOWN
from apps.releases.traits import Trait


@dataclass(frozen=True)
class Setting:
    """`words` end a sentence that begins with "expected"; `schema` is JSON Schema 2020-12."""

    words: str
    accepts: Callable[[Any], bool]
    schema: Mapping[str, Any]


def is_whole(value: Any, least: int = 1, most: int | None = None) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and least <= value and (most is None or value <= most)


def whole(least: int = 1, most: int | None = None) -> Setting:
    words = f"a whole number from {least}{f' to {most}' if most else ''}"
    limits = {"minimum": least, **({"maximum": most} if most else {})}
    return Setting(words, lambda value: is_whole(value, least, most), {"type": "integer", **limits})


def one_of(known: Sequence[str]) -> Setting:
    return Setting(f"one of {', '.join(known)}", lambda value: value in known, {"enum": list(known)})


def some_of(known: Sequence[str], least: int = 1) -> Setting:
    def accepts(value: object) -> bool:
        if not isinstance(value, list) or len(value) < least:
            return False
        return all(word in known for word in value) and len({*value}) == len(value)

    schema = {"type": "array", "minItems": least, "uniqueItems": True, "items": {"enum": list(known)}}
    return Setting(f"a list of {'some' if least else 'any'} of {', '.join(known)}, each once", accepts, schema)


def some_texts(most: int) -> Setting:
    def accepts(value: object) -> bool:
        texts = isinstance(value, list) and all(isinstance(text, str) and 0 < len(text) <= 200 for text in value)
        return texts and 0 < len(value) <= most  # type: ignore[arg-type]

    item = {"type": "string", "minLength": 1, "maxLength": 200}
    schema = {"type": "array", "minItems": 1, "maxItems": most, "items": item}
    return Setting(f"a list of 1 to {most} texts", accepts, schema)


def texts(most: int) -> Setting:
    def accepts(value: object) -> bool:
        if not isinstance(value, list) or not 0 < len(value) <= most:
            return False
        return all(isinstance(text, str) and text.strip() for text in value) and len({*value}) == len(value)

    item = {"type": "string", "pattern": r"\S"}
    schema = {"type": "array", "minItems": 1, "maxItems": most, "uniqueItems": True, "items": item}
    return Setting(f"a list of 1 to {most} texts, each once", accepts, schema)


FLAG = Setting("true or false", lambda value: isinstance(value, bool), {"type": "boolean"})
TEXT = Setting("a text", lambda value: isinstance(value, str) and bool(value), {"type": "string", "minLength": 1})

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MOST_LINES, LONGEST_TEXT, LONGEST_SLUG = 50, 120, 40


def text(most: int) -> Setting:
    schema = {"type": "string", "pattern": r"\S", "maxLength": most}
    return Setting(
        f"a text of at most {most} characters",
        lambda value: isinstance(value, str) and bool(value.strip()) and len(value) <= most,
        schema,
    )


def _is_slug(value: object) -> bool:
    return isinstance(value, str) and bool(_SLUG.fullmatch(value)) and len(value) <= LONGEST_SLUG


SLUG = Setting(
    f"small letters and digits, with dashes between them, at most {LONGEST_SLUG}",
    _is_slug,
    {"type": "string", "pattern": f"^{_SLUG.pattern}$", "maxLength": LONGEST_SLUG},
)
YES = Setting("true", lambda value: value is True, {"const": True})
# Pages show what was seen of a setting, so one that is secret by its name is none to be judged by.
_KEY, _SECRET = re.compile(r"[A-Z][A-Z0-9_]{0,79}"), re.compile(secrecy.NAMES.upper())
KEY = Setting(
    "the name of a setting in capitals, such as REPLICAS, that is no secret",
    lambda value: isinstance(value, str) and bool(_KEY.fullmatch(value)) and not _SECRET.search(value),
    {"type": "string", "pattern": rf"^{_KEY.pattern}$", "not": {"pattern": _SECRET.pattern}},
)
LINE: Mapping[str, Setting] = {"id": SLUG, "text": text(LONGEST_TEXT), "role": TEXT, "clause": TEXT, "job": YES}


def _is_line(value: object) -> bool:
    if not isinstance(value, dict) or not value.keys() <= LINE.keys() or not {"id", "text"} <= value.keys():
        return False
    if ("role" in value) == ("clause" in value) or ("job" in value and "role" not in value):
        return False
    return all(LINE[name].accepts(said) for name, said in value.items())


LINES = Setting(
    "a list of lines, each with an id, a text, and either the role that ticks it (and job: true where a job may, too) "
    "or the clause that it goes by",
    lambda value: isinstance(value, list) and 0 < len(value) <= MOST_LINES and all(map(_is_line, value)),
    {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_LINES,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: dict(setting.schema) for name, setting in LINE.items()},
            "required": ["id", "text"],
            "oneOf": [{"required": ["role"]}, {"required": ["clause"]}],
            "dependentRequired": {"job": ["role"]},
        },
    },
)

SETTINGS: Mapping[Gate, Mapping[str, Setting]] = {
    Gate.APPROVALS: {"role": TEXT},
    Gate.CHECKLIST: {"checklist": SLUG, "title": text(LONGEST_TEXT), "phase": one_of(tuple(Phase)), "lines": LINES},
    Gate.COVERAGE: {"least_percent": whole(1, 100)},
    Gate.PERFORMANCE: {"limit_percent": whole(1, 1000)},
    Gate.RECOVERY: {"backup_hours": whole()},
    Gate.ROLLBACK_READINESS: {"limit_minutes": whole()},
    Gate.SECURITY_SCAN: {"tolerated": one_of(TOLERATED)},
    Gate.TESTS: {"suites": some_of(tuple(SUITES))},
    Gate.VERSION_ORDER: {"prereleases": FLAG},
    Gate.WINDOW: {"lasting_minutes": whole()},
}
# When an approval that nobody gives is spoken of; each may be left out and is then as in `Reminders`.
REMINDERS: Mapping[str, Setting] = {
    "remind_hours": whole(1, LONGEST_HOURS),
    "escalate_hours": whole(1, LONGEST_HOURS),
    "escalate_to": TEXT,
}
# By which changed files a release has a trait: patterns in which `*` stands for anything, `/` too.
TRAIT_PATHS: Mapping[str, Setting] = {trait.value: some_texts(50) for trait in Trait if trait != Trait.MAJOR}
# What data the tier's environments may hold: `kinds` has to be said, and no days are asked where none are said.
DATA: Mapping[str, Setting] = {"kinds": some_of(BROUGHT, least=0)}
DATA_DAYS: Mapping[str, Setting] = dict.fromkeys(("refreshed_days", "kept_days"), whole(1, 3650))
# What an environment has to be: what each requirement says, what it may say, and its one rule with the limit.
NEED: Mapping[str, Setting] = {"id": SLUG, "text": text(LONGEST_TEXT), "source": text(LONGEST_TEXT)}
NEED_OPTIONAL: Mapping[str, Setting] = {"key": KEY, "each": FLAG}
RULES: Mapping[str, Setting] = {
    Rule.LEAST.value: whole(1, 1_000_000),
    Rule.MOST.value: whole(1, 1_000_000),
    Rule.IS.value: text(80),
    Rule.AMONG.value: texts(20),
    Rule.LEAST_DAYS.value: whole(1, 3650),
    Rule.EVERY.value: one_of(INTERVALS),
    Rule.LEAST_PERCENT_OF_PRODUCTION.value: whole(1, 1000),
    Rule.AS_IN_PRODUCTION.value: YES,
    Rule.BELOW_PRODUCTION.value: YES,
    Rule.LEAST_TLS.value: one_of(TLS_VERSIONS),
}
# What a clause may leave out, so that documents of before stay what they were: without minutes no soak is asked for,
# without a word on sunsets a major release may take away what it likes, without a step-up nobody confirms who they are,
# without traits an approval is asked for with every change.
# what nobody can say is there to go back to passes, and is said;
# provenance may come from any builder, signed or not, and a service that measures nothing needs no benchmarks; of
# backups only their age is asked, and scanners need not have tried the running release out.
OPTIONAL_SETTINGS: Mapping[Gate, Mapping[str, Setting]] = {
    Gate.APPROVALS: {"step_up": one_of(tuple(StepUp)), "traits": some_of(tuple(Trait))},
    **{gate: {"waived_by": TEXT} for gate in WAIVABLE},
    Gate.CHECKLIST: {"hours": whole(1, LONGEST_HOURS)},
    Gate.API_COMPATIBILITY: {"sunset": FLAG, "waived_by": TEXT},
    Gate.MIGRATIONS: {"tested": FLAG},
    Gate.PERFORMANCE: {"reported": FLAG, "waived_by": TEXT},
    Gate.PROVENANCE: {"builders": texts(20), "signed": FLAG, "waived_by": TEXT},
    Gate.RECOVERY: {
        "point_in_time": FLAG,
        **dict.fromkeys(("kept_daily", "kept_monthly"), whole()),
        **dict.fromkeys(("restore_test_days", "recovery_test_days"), whole()),
        **dict.fromkeys(("rpo_minutes", "rto_minutes"), whole()),
    },
    Gate.ROLLBACK_READINESS: {"unknown": one_of(UNKNOWN), "fresh_minutes": whole(), "waived_by": TEXT},
    Gate.PREVIOUS_TIER: {"soak_minutes": whole(), "close_watch_soak_percent": whole(100)},
    Gate.SECURITY_SCAN: {"accepted_days": whole(1, LONGEST_ACCEPTED_DAYS), "dynamic": FLAG, "waived_by": TEXT},
}
