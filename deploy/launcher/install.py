"""The virtual environment, filled from the hash-locked lists. Standard library only.

pip fetches a locked uv and uv installs the rest, four times as fast; where uv can't reach the index (an index that only
pip's own configuration knows, say) pip does all of it. A stamp remembers the lists' hash: nothing is done twice, and a
second start needs no network.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.launcher.console import Refused, Step, say
from deploy.launcher.paths import ROOT, VENV

PYTHON = VENV / "bin" / "python"
LISTS = {
    "run": ("run",),
    "traces": ("run", "traces"),
    "test": ("run", "traces", "test"),
    "dev": ("run", "traces", "test", "dev"),
}


def ensure(purpose: str) -> Path:
    """Make the environment hold what `purpose` ("run", "test", "dev") needs; return its interpreter."""
    lists = [ROOT / "requirements" / f"{name}.txt" for name in LISTS[purpose]]
    if not _usable():
        _create()
    if not _stamp(purpose).exists() or _stamp(purpose).read_text() != _fingerprint(lists):
        _install(lists)
        for smaller, names in LISTS.items():
            if set(names) <= set(LISTS[purpose]):
                known = [ROOT / "requirements" / f"{name}.txt" for name in names]
                _stamp(smaller).write_text(_fingerprint(known))
    return PYTHON


def _stamp(purpose: str) -> Path:
    return VENV / f".installed-{purpose}"


def _fingerprint(lists: list[Path]) -> str:
    digest = hashlib.sha256(os.fsencode(VENV))  # a copied clone brings an environment that points elsewhere
    for each in lists:
        digest.update(each.read_bytes())
    return digest.hexdigest()


def _usable() -> bool:
    """Say whether the environment belongs to this place and its interpreter still starts."""
    config = VENV / "pyvenv.cfg"
    if not config.exists() or not PYTHON.exists():
        return False
    place = VENV / ".place"
    if place.exists() and place.read_text() != str(VENV):
        return False
    return subprocess.run([PYTHON, "-c", ""], check=False, capture_output=True).returncode == 0


def _create() -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise Refused(
            "Python's venv module is missing. Install it, then start again: "
            f"apt-get install python{sys.version_info.major}.{sys.version_info.minor}-venv"
        )
    _run("Making the virtual environment", "Virtual environment made", [sys.executable, "-m", "venv", "--clear", VENV])
    (VENV / ".place").write_text(str(VENV))


def _install(lists: list[Path]) -> None:
    pip: list[str | Path] = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
    ]
    wanted: list[str | Path] = [part for each in lists for part in ("-r", each)]
    _run("Fetching the installer", "Installer ready", [*pip, "-r", ROOT / "requirements" / "install.txt"])
    uv: list[str | Path] = [PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON, "--require-hashes", *wanted]
    names = ", ".join(each.name for each in lists)
    try:
        _run(f"Installing the packages of {names}", f"Packages of {names} installed", uv, environment=_for_uv())
    except Refused as refusal:
        why = str(refusal).splitlines()[-2].strip()
        say(f"  -- uv could not install them ({why}); pip takes over, which is slower")
        _run("Installing with pip", "Packages installed by pip", [*pip, *wanted])


def _for_uv() -> dict[str, str]:
    """Return an environment in which uv trusts what the system trusts and uses the index that pip would."""
    environment = {"UV_SYSTEM_CERTS": "1", "UV_NO_PROGRESS": "1", "UV_LINK_MODE": "copy", **os.environ}
    if "PIP_INDEX_URL" in os.environ:
        environment.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])
    return environment


def _run(doing: str, done: str, command: list[str | Path], *, environment: dict[str, str] | None = None) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output, Step(doing, done) as step:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=ROOT)
        try:
            while process.poll() is None:
                step.tick()
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            output.seek(0)
            said = "\n".join(f"      {line}" for line in output.read().strip().splitlines()[-8:])
            raise Refused(
                f"{doing} failed:\n{said}\n"
                "If the package index can't be reached from here, name one that can: PIP_INDEX_URL=https://... make run"
            )
