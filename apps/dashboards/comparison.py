"""Two configuration versions beside each other. Secrets in them are never shown."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps.configuration.models import ConfigurationVersion
from apps.configuration.secrecy import shown


@dataclass(frozen=True)
class Line:
    """One name; None where a version does not set it."""

    name: str
    before: str | None
    after: str | None
    is_changed: bool


@dataclass(frozen=True)
class Comparison:
    before: ConfigurationVersion | None
    after: ConfigurationVersion
    lines: tuple[Line, ...]

    @property
    def changed(self) -> int:
        return sum(line.is_changed for line in self.lines)


def compared(versions: Iterable[ConfigurationVersion], *, before: int | None, after: int | None) -> Comparison | None:
    """Return two of these versions side by side: by default the newest beside the one before it."""
    by_number = {version.number: version for version in versions}
    if not by_number:
        return None
    right = by_number.get(after or 0) or by_number[max(by_number)]
    left = by_number.get(right.number - 1 if before is None else before)
    old, new = (left.values if left else {}), right.values
    names = sorted({*old, *new})
    lines = tuple(Line(name, shown(name, old), shown(name, new), old.get(name) != new.get(name)) for name in names)
    return Comparison(left, right, lines)
