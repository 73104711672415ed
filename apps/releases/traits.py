"""What a release is, where that asks for more people. Pure: policies speak of it too, and know no Django."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Trait(StrEnum):
    SECURITY = "SECURITY"
    MIGRATION = "MIGRATION"
    INFRASTRUCTURE = "INFRASTRUCTURE"
    MAJOR = "MAJOR"
    CRITICAL_PATH = "CRITICAL_PATH"
    SENSITIVE = "SENSITIVE"

    @property
    def label(self) -> str:
        return _LABELS[self][0]

    @property
    def phrase(self) -> str:
        """The label as it stands in a sentence."""
        return _LABELS[self][1]


_LABELS: Mapping[Trait, tuple[str, str]] = {
    Trait.SECURITY: ("Security update", "a security update"),
    Trait.MIGRATION: ("Data migration", "a data migration"),
    Trait.INFRASTRUCTURE: ("Infrastructure change", "an infrastructure change"),
    Trait.MAJOR: ("Major change", "a major change"),
    Trait.CRITICAL_PATH: ("Critical path", "a change of a critical path"),
    Trait.SENSITIVE: ("Sensitive change", "a sensitive change"),
}

# The version says by itself which release is major.
DECLARABLE = tuple(trait for trait in Trait if trait != Trait.MAJOR)


@dataclass(frozen=True)
class HeldTrait:
    """A trait that a change has, and what shows it: a version, a file, or the word of a person."""

    trait: Trait
    why: str


@dataclass(frozen=True)
class ChangedPaths:
    """The files that a release changed beside the release before it. `is_whole`: all of them are here."""

    version: str
    paths: Sequence[str]
    is_whole: bool = True


def by_paths(patterns: Mapping[str, Sequence[str]], changes: Iterable[ChangedPaths]) -> list[HeldTrait]:
    """This function will say which traits the changed files show, each with the first file that does.

    Shapes: `patterns` holds those of each trait; in one of them `*` stands for anything, `/` too. Where not all files
    are known, each trait with a pattern holds: what is not known may match.
    """
    found: dict[str, HeldTrait] = {}
    for change in changes:
        for trait, wanted in patterns.items():
            matching = (path for path in change.paths if any(fnmatchcase(path, pattern) for pattern in wanted))
            path = next(matching, None)
            if path is not None:
                found.setdefault(trait, HeldTrait(Trait(trait), f"{change.version} changes {path}"))
            elif not change.is_whole:
                why = f"not all files that {change.version} changes are known"
                found.setdefault(trait, HeldTrait(Trait(trait), why))
    return list(found.values())
