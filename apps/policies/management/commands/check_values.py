"""Checks values of charts before they are pushed."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from apps.policies import release_sources
from apps.policies.management.file_check import CODES, FileCheck
from apps.policies.sources import InvalidSource
from apps.releases import manifests


class Command(FileCheck):
    help = f"Checks values of Helm charts (YAML): images by digest, no secret in clear text. {CODES}"
    limit = release_sources.LARGEST_BYTES

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--manifest", type=Path, help="of the release: each image must be one that it names")

    def said(self, source: bytes, options: dict[str, Any]) -> str:
        digests = _digests(options["manifest"]) if options["manifest"] else None
        return f"{release_sources.read_values(source, digests=digests)} images, all by digest"


def _digests(file: Path) -> set[str]:
    try:
        manifest = release_sources.read_manifest(file.read_bytes())
    except InvalidSource as error:
        raise OSError(None, f"It is no manifest, see check_manifest. {error}", str(file)) from error
    return {row["digest"] for row in manifests.images_of(manifest)}
