"""Writes docs/reference/states.md from the tables that the code moves by, or says that it is stale."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.approvals import transitions as promotions
from apps.compliance import export_transitions as exports
from apps.compliance import stream_transitions as streams
from apps.deployments import rollout_transitions as rollouts
from apps.deployments import transitions as deployments
from apps.incidents import transitions as incidents
from apps.releases import transitions as releases

PLACE = Path("docs/reference/states.md")
HEAD = """# States

Made by `manage.py state_diagram` from the tables in `transitions.py` of each app; `make check` fails when it is stale.
The function `advance` beside each table is the only code that changes a state; each change leaves its event.
"""


@dataclass(frozen=True)
class Section:
    """One kind of thing. `made` is the event of coming to be, `kind` gives that of a change, `when` tells why."""

    title: str
    about: str
    table: Mapping[Any, frozenset[Any]]
    made: str
    kind: Callable[[Any, Any], str]
    when: Mapping[Any, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        yield f"## {self.title}\n\n{self.about}\n\n```mermaid\nstateDiagram-v2\n    [*] --> {self._first.value}"
        for before, following in self.table.items():
            yield from (f"    {before.value} --> {after.value}" for after in self._ordered(following))
            if not following:
                yield f"    {before.value} --> [*]"
        yield "```\n"
        heads = ["state", "shown as", "leads to", "events of coming there", *(["when"] if self.when else [])]
        yield _row(heads)
        yield _row(["---"] * len(heads))
        yield from (_row(self._cells(state)) for state in self.table)
        yield ""

    @property
    def _first(self) -> Any:
        return next(iter(self.table))

    def _cells(self, state: Any) -> list[str]:
        kinds = {self.kind(before, state) for before, after in self.table.items() if state in after}
        events = sorted(kinds | ({self.made} if state == self._first else set()))
        leads = ", ".join(after.value for after in self._ordered(self.table[state])) or "nothing: it is final"
        why = [self.when[state]] if self.when else []
        return [state.value, state.label, leads, ", ".join(f"`{event}`" for event in events), *why]

    def _ordered(self, states: frozenset[Any]) -> list[Any]:
        return [state for state in self.table if state in states]


SECTIONS = (
    Section(
        "Release",
        "Sealed means immutable.",
        releases.ALLOWED,
        "release.created",
        lambda before, after: releases.KINDS[before, after],
    ),
    Section(
        "Promotion",
        "It asks, and never holds a lane.",
        promotions.TABLE,
        "promotion.requested",
        lambda before, after: promotions.KINDS[after],
        promotions.WHEN,
    ),
    Section(
        "Deployment",
        "It tries. From STARTING on, until it ends, it holds its lane.",
        deployments.TABLE,
        "deployment.queued",
        lambda before, after: f"deployment.{after.value.lower()}",
        deployments.WHEN,
    ),
    Section(
        "Roll-out",
        "It brings one release to many environments, each by a promotion of its own.",
        rollouts.TABLE,
        "rollout.started",
        lambda before, after: rollouts.KINDS[after],
        rollouts.WHEN,
    ),
    Section(
        "Part in a roll-out",
        "What another workspace decides about each of its environments, as long as nothing there has begun to deploy.",
        rollouts.PART_TABLE,
        "rollout.started",
        lambda before, after: rollouts.PART_KINDS[after],
        rollouts.PART_WHEN,
    ),
    Section(
        "Incident",
        "It is open until somebody says what resolved it.",
        incidents.TABLE,
        "incident.declared",
        lambda before, after: incidents.KINDS[after],
        incidents.WHEN,
    ),
    Section(
        "Export of the audit trail",
        "A worker writes it; who asked downloads it until it expires.",
        exports.ALLOWED,
        "export.asked",
        lambda before, after: exports.KINDS[after],
    ),
    Section(
        "Stream of the audit trail",
        "What comes while it is paused is sent once it goes on.",
        streams.ALLOWED,
        "stream.created",
        lambda before, after: streams.KINDS[before, after],
    ),
)


class Command(BaseCommand):
    help = "Write docs/reference/states.md from the transition tables."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; fail when the file is stale")

    def handle(self, *, check: bool, **options: Any) -> None:
        path, text = settings.BASE_DIR / PLACE, document()
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            raise CommandError(f"{PLACE} is stale. Run: manage.py state_diagram")


def document() -> str:
    """This function will return the whole page."""
    return "\n".join([HEAD, *(line for section in SECTIONS for line in section.lines())])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
