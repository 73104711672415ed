"""Checks manifests of releases before they are pushed."""

from argparse import ArgumentParser
from typing import Any

from apps.policies import release_sources
from apps.policies.management.file_check import CODES, FileCheck
from apps.releases import manifests


class Command(FileCheck):
    help = f"Checks manifests of releases (JSON or YAML), as the form and the API do. {CODES}"
    limit = release_sources.LARGEST_BYTES

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--program", default="", help="what the service runs; what the manifest says, if not said")

    def said(self, source: bytes, options: dict[str, Any]) -> str:
        manifest = release_sources.read_manifest(source, program=options["program"])
        counts = [f"{len(manifests.files_of(manifest))} files", f"{len(manifests.images_of(manifest))} images"]
        return f"{manifest['program']} with {' and '.join(counts)}, {manifests.digest_of(manifest)}"
