"""Where exports are kept: a folder that the workers write to and the web server reads from."""

from pathlib import Path
from uuid import UUID

from django.conf import settings


def place(export_id: UUID) -> Path:
    """This function will say where an export lies that is done."""
    return Path(settings.EXPORT_DIR) / str(export_id)


def part(export_id: UUID, token: UUID) -> Path:
    """This function will say where one owner writes it: whoever comes after writes another."""
    return Path(settings.EXPORT_DIR) / f"{export_id}.{token}.part"


def prepare() -> None:
    """This function will make the folder, for nobody else to look into."""
    Path(settings.EXPORT_DIR).mkdir(parents=True, exist_ok=True, mode=0o700)


def remove(export_id: UUID, *, parts_only: bool = False, but: UUID | None = None) -> None:
    """This function will remove what is there of an export, finished or not; what `but` writes stays."""
    for found in Path(settings.EXPORT_DIR).glob(f"{export_id}.*.part"):
        if but is None or str(but) not in found.name:
            found.unlink(missing_ok=True)
    if not parts_only:
        place(export_id).unlink(missing_ok=True)
