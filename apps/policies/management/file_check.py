"""Checks of files before they are pushed, for CI and pre-commit: a line for each mistake, an exit code, no database."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from apps.policies.sources import InvalidSource, Mistake

GOOD, WRONG, UNREADABLE = 0, 1, 2
CODES = "Exit code 0: all are good; 1: one has mistakes; 2: one can't be read."


class FileCheck(BaseCommand):
    requires_system_checks: list[str] = []
    limit = 0
    """Bytes of a file that are read; one more is a mistake."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--format", choices=["text", "github"], default="text", help="default: %(default)s")

    def handle(self, *, files: list[Path], format: str, **options: Any) -> None:
        codes = [self._check(file, format, options) for file in files]
        if code := max(codes):
            sys.exit(code)

    def said(self, source: bytes, options: dict[str, Any]) -> str:
        """Return what a good file says. Raises InvalidSource: its mistakes. Raises OSError: another can't be read."""
        raise NotImplementedError

    def _check(self, file: Path, form: str, options: dict[str, Any]) -> int:
        try:
            with file.open("rb") as opened:
                good = self.said(opened.read(self.limit + 1), options)
        except OSError as error:
            self._say(Path(error.filename or file), Mistake(1, 1, f"The file can't be read: {error.strerror}."), form)
            return UNREADABLE
        except InvalidSource as error:
            for mistake in error.mistakes:
                self._say(file, mistake, form)
            return WRONG
        self.stdout.write(f"{file}: good, {good}.")
        return GOOD

    def _say(self, file: Path, mistake: Mistake, form: str) -> None:
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
