"""The controls of four frameworks as data: controls.yaml says them, and what in it would be wrong fails the tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).parent / "controls.yaml"


@dataclass(frozen=True)
class Control:
    """One control: what it asks in our words, what of the product meets it, and what the product can't show.

    `checks` name functions of apps.compliance.checks; `kinds` are kinds of events, or their nouns, that prove it.
    """

    framework: str
    id: str
    title: str
    asks: str
    met_by: tuple[str, ...]
    checks: tuple[str, ...]
    kinds: tuple[str, ...]
    not_shown: str

    @property
    def slug(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.id.lower()).strip("-")


@dataclass(frozen=True)
class Framework:
    slug: str
    name: str
    edition: str
    controls: tuple[Control, ...]


@cache
def frameworks() -> Mapping[str, Framework]:
    """This function will return the frameworks by slug, in the order of the file."""
    return {slug: _framework(slug, raw) for slug, raw in yaml.safe_load(SOURCE.read_text()).items()}


def find(framework: str, control: str) -> Control | None:
    """This function will return a control by its slugs, or None where there is none."""
    known = frameworks().get(framework)
    return next((each for each in known.controls if each.slug == control), None) if known else None


def _framework(slug: str, raw: Mapping[str, Any]) -> Framework:
    controls = tuple(
        Control(
            framework=slug,
            id=str(row["id"]),
            title=row["title"],
            asks=row["asks"],
            met_by=tuple(row["met_by"]),
            checks=tuple(row.get("checks", ())),
            kinds=tuple(row.get("kinds", ())),
            not_shown=row["not_shown"],
        )
        for row in raw["controls"]
    )
    return Framework(slug, raw["name"], raw["edition"], controls)
