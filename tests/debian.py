"""Programs that the tests drive and Debian has: `python -m tests.debian` installs them, or says what is missing."""

import os
import shutil
import subprocess
import sys

# Without these, their tests are skipped and say so.
PROGRAMS = ("prometheus", "prometheus-alertmanager", "faketime", "docker-registry")


def command(*packages: str) -> list[str]:
    return ["apt-get", "install", "--yes", "--no-install-recommends", *packages]


def install(*packages: str) -> bool:
    """Install packages where that is possible, and say whether it was."""
    if os.getuid() != 0 or not shutil.which("apt-get"):
        return False
    quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update"], check=False, **quiet)
    return subprocess.run(command(*packages), check=False, **quiet).returncode == 0


def main() -> int:
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        print(f"Installing {', '.join(missing)} for the tests ...", flush=True)
        if not install(*missing):
            print(f"Their tests are skipped. Install them with\n    sudo {' '.join(command(*missing))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
