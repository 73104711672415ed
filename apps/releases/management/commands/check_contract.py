"""Compares two API descriptions before a release is made: for CI. Needs no database."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from apps.releases.contracts import documents
from apps.releases.contracts.changes import Change, Effect
from apps.releases.contracts.openapi import compare

FITS, BREAKS, UNREADABLE = 0, 1, 2


class Command(BaseCommand):
    help = (
        "Compares two OpenAPI documents, operation by operation. "
        "Exit code 0: callers of OLD are served by NEW; 1: a change breaks them or needs a person; 2: unreadable."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("old", type=Path, metavar="OLD", help="what runs in Production")
        parser.add_argument("new", type=Path, metavar="NEW", help="what is to be released")
        parser.add_argument("--json", action="store_true", help="a list of changes instead of the report")

    def handle(self, *, old: Path, new: Path, **options: Any) -> None:
        changes = compare(self._read(old), self._read(new))
        if options["json"]:
            self.stdout.write(json.dumps([asdict(change) for change in changes], indent=2))
        else:
            self._report(changes)
        if any(change.effect != Effect.COMPATIBLE for change in changes):
            sys.exit(BREAKS)

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            with file.open("rb") as opened:
                return documents.read(opened.read(documents.LIMIT + 1))
        except OSError as error:
            self.stderr.write(f"{file}: The file can't be read: {error.strerror}.")
        except documents.Unreadable as error:
            self.stderr.write(f"{file}: {error}")
        sys.exit(UNREADABLE)

    def _report(self, changes: tuple[Change, ...]) -> None:
        for operation, group in groupby(changes, key=lambda change: change.operation):
            self.stdout.write(operation)
            for change in group:
                place = f"{change.place}: " if change.place else ""
                self.stdout.write(f"  {change.effect:<10}  {place}{change.sentence} ({change.rule})")
        counts = {effect: sum(change.effect == effect for change in changes) for effect in Effect}
        self.stdout.write(", ".join(f"{count} {effect.lower()}" for effect, count in counts.items()) + ".")
