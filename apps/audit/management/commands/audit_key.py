"""The key that signs the audit trail: list what is known, or name its successor (docs/runbooks/audit-keys.md)."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from apps.audit.keys import KeyProblem, make_key, read_key


class Command(BaseCommand):
    help = "Lists the keys that signed the audit trail, or lets the one in use name its successor."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=("list", "rotate"))

    def handle(self, *, what: str, **options: Any) -> None:
        if what == "rotate":
            self._rotate()
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT key_id, valid_from, valid_until FROM audit_key ORDER BY valid_from")
            for key_id, since, until in cursor.fetchall():
                self.stdout.write(f"{key_id}  from {since:%Y-%m-%d %H:%M} until {until or 'now'}")

    def _rotate(self) -> None:
        """Put the new key where the sealer finds it; it does the rest at its next look."""
        path = settings.AUDIT_KEY_FILE
        try:
            read_key(path)
            new = make_key(path.with_name(f"{path.name}.next"))
        except KeyProblem as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(
            f"The key {new.id} follows: the sealer lets the old one sign the entry that names it, then uses it."
        )
