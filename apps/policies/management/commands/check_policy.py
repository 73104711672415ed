"""Checks policy documents before they are pushed: for CI and pre-commit. Needs no database."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from apps.policies import sources

GOOD, WRONG, UNREADABLE = 0, 1, 2


class Command(BaseCommand):
    help = "Checks policy documents (YAML). Exit code 0: all are good; 1: one has mistakes; 2: one can't be read."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--format", choices=["text", "github"], default="text", help="default: %(default)s")

    def handle(self, *, files: list[Path], format: str, **options: Any) -> None:
        codes = [self._check(file, format) for file in files]
        if code := max(codes):
            sys.exit(code)

    def _check(self, file: Path, form: str) -> int:
        try:
            with file.open("rb") as opened:
                source = opened.read(sources.LARGEST_BYTES + 1)
        except OSError as error:
            self._say(file, sources.Mistake(1, 1, f"The file can't be read: {error.strerror}."), form)
            return UNREADABLE
        try:
            _, policy = sources.read(source)
        except sources.InvalidSource as error:
            for mistake in error.mistakes:
                self._say(file, mistake, form)
            return WRONG
        self.stdout.write(f"{file}: good, {len(policy.clauses)} clauses for {policy.label}.")
        return GOOD

    def _say(self, file: Path, mistake: sources.Mistake, form: str) -> None:
        if form == "github":
            place = f"file={_escaped(str(file), ':,')},line={mistake.line},col={mistake.column}"
            self.stdout.write(f"::error {place}::{_escaped(mistake.reason)}")
        else:
            self.stdout.write(f"{file}:{mistake.line}:{mistake.column}: {mistake.reason}")


def _escaped(text: str, more: str = "") -> str:
    """Return the text as GitHub's workflow commands want it: https://github.com/actions/toolkit (command.ts)."""
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
