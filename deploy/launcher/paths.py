"""Where a running portal keeps things: below the clone's `.run`, and sockets in a short directory of their own."""

import hashlib
import os
import stat
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"


def data_directory() -> Path:
    return Path(os.environ.get("EAIP_DATA_DIR") or ROOT / ".run").resolve()


def make_private(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.rename(path)


def socket_directory(data: Path) -> Path:
    """Return a private directory whose path is short: a Unix socket's path may have 107 bytes, a clone's may be longer.

    Raises PermissionError when somebody else made the directory first.
    """
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:8]
    directory = make_private(Path(f"/tmp/eaip-{os.getuid()}-{name}"))  # noqa: S108  checked below
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{directory} belongs to somebody else or is open to others: remove it.")
    return directory
