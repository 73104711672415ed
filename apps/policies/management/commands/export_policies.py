"""Writes the policies in force as YAML files, to be changed and proposed again."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.policies.models import PolicyVersion
from apps.policies.sources import written
from apps.workspaces.scope import workspace_scope


class Command(BaseCommand):
    help = "Writes the policy in force of each tier to FOLDER/<tier>.yaml."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="FOLDER")
        parser.add_argument("--schema-url", default="/static/schemas/policy-1.json", help="default: %(default)s")

    def handle(self, *, folder: Path, schema_url: str, **options: Any) -> None:
        with workspace_scope([]):  # policies are published: every workspace reads them
            versions = list(PolicyVersion.objects.filter(is_active=True))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for version in versions:
                file = folder / f"{version.tier.lower()}.yaml"
                file.write_text(written(version.document, schema_url=schema_url), encoding="utf-8")
                self.stdout.write(f"{file}: {version}")
        except OSError as error:
            raise CommandError(
                f"{error.filename} can't be written: {error.strerror}. What is listed above was."
            ) from error
