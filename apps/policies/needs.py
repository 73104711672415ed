"""The words in which a policy asks something of an environment: one rule for each requirement. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Limit = int | str | bool | tuple[str, ...]
MOST_NEEDS = 40
INTERVALS = ("hourly", "daily", "weekly", "monthly")
TLS_VERSIONS = ("1.2", "1.3")


class Rule(StrEnum):
    """How a value is judged; the word is the field of the requirement that holds the limit."""

    LEAST = "least"
    MOST = "most"
    IS = "is"
    AMONG = "among"
    LEAST_DAYS = "least_days"
    EVERY = "every"
    LEAST_PERCENT_OF_PRODUCTION = "least_percent_of_production"
    AS_IN_PRODUCTION = "as_in_production"
    BELOW_PRODUCTION = "below_production"
    LEAST_TLS = "least_tls"

    @property
    def goes_by_production(self) -> bool:
        return self in {Rule.LEAST_PERCENT_OF_PRODUCTION, Rule.AS_IN_PRODUCTION, Rule.BELOW_PRODUCTION}


@dataclass(frozen=True)
class Need:
    """One requirement. `key` names the setting that says it, "" for what is probed; `each`: every service says it."""

    id: str
    text: str
    source: str
    rule: Rule
    limit: Limit
    key: str = ""
    each: bool = False

    @property
    def limit_words(self) -> str:
        return _WORDS[self.rule].format(", ".join(self.limit) if isinstance(self.limit, tuple) else self.limit)


_WORDS: Mapping[Rule, str] = {
    Rule.LEAST: "at least {}",
    Rule.MOST: "at most {}",
    Rule.IS: "{}",
    Rule.AMONG: "none but {}",
    Rule.LEAST_DAYS: "at least {} days",
    Rule.EVERY: "at least {}",
    Rule.LEAST_PERCENT_OF_PRODUCTION: "at least {} % of Production's",
    Rule.AS_IN_PRODUCTION: "the same as in Production",
    Rule.BELOW_PRODUCTION: "lower than in Production",
    Rule.LEAST_TLS: "TLS {} or later, and nothing older",
}


def need_of(row: Mapping[str, Any]) -> Need:
    """This function will read a requirement from a document without mistakes."""
    rule = next(rule for rule in Rule if rule in row)
    limit = tuple(row[rule]) if isinstance(row[rule], list) else row[rule]
    return Need(row["id"], row["text"], row["source"], rule, limit, row.get("key", ""), row.get("each", False))
