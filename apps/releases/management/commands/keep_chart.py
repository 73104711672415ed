import json
import re
import tarfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.integrations.artifact_store import ArtifactStore
from apps.releases import manifests
from apps.releases.enums import ArtifactKind

_LINE = r"^{}:\s*[\"']?([^\"'\s#]+)"


class Command(BaseCommand):
    help = "Keep a packaged chart in the artifact store, and print the manifest that its release is made with."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("archive", type=Path, help="made by `helm package`")
        parser.add_argument(
            "--image", action="append", default=[], dest="images", metavar="NAME[:TAG]@DIGEST",
            help="an image of the release, with its registry; as often as there are some",
        )  # fmt: skip

    def handle(self, *, archive: Path, images: list[str], **_options: Any) -> None:
        try:
            name, version = _named(archive)
            sha256, size = ArtifactStore(settings.ARTIFACT_DIR).put_file(archive)
            row = {"name": name, "version": version, "filename": archive.name, "sha256": sha256, "size": size}
            manifest: dict[str, Any] = {"program": name, "chart": row | {"source": manifests.STORE}}
            if images:
                manifest["images"] = [manifests.image_read(image) for image in images]
            manifests.check(manifest, program=name, kind=ArtifactKind.CHART)
        except (OSError, tarfile.TarError, manifests.ManifestInvalid) as error:
            raise CommandError(f"{archive} is not a packaged chart: {error}") from error
        self.stdout.write(json.dumps(manifest, indent=2))


def _named(archive: Path) -> tuple[str, str]:
    """Return name and version from the chart's own Chart.yaml, where `helm package` leaves them as plain lines."""
    with tarfile.open(archive) as bundle:
        for member in bundle:
            if member.isfile() and re.fullmatch(r"[^/]+/Chart\.yaml", member.name):
                file = bundle.extractfile(member)
                text = file.read(100_000).decode("utf-8", "replace") if file else ""
                found = [re.search(_LINE.format(field), text, re.MULTILINE) for field in ("name", "version")]
                name, version = (each[1] if each else "" for each in found)
                return name, version
    raise manifests.ManifestInvalid("It has no Chart.yaml.")
