"""The secrets of one installation, made once and kept for its owner alone."""

import json
import secrets
from pathlib import Path

from deploy.launcher.paths import write_private

NAMES = ("secret_key", "database_admin", "database_owner", "database_app", "database_sealer", "valkey", "metrics")


def load(data: Path) -> dict[str, str]:
    """Return every secret by name; those that are missing are made and kept."""
    path = data / "secrets.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in NAMES if name not in known]
    if missing:
        known |= {name: secrets.token_urlsafe(32) for name in missing}
        write_private(path, json.dumps(known, indent=1))
    return known
