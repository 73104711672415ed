"""The browser of the tests: Debian's Chromium. `python -m tests.chromium` installs it, or says what is missing."""

import os
import shutil
import subprocess
import sys

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    executable = find()
    if executable is None:
        raise FileNotFoundError("Chromium is missing: python -m tests.chromium says how to get it")
    return playwright.chromium.launch(executable_path=executable, args=list(FLAGS), headless=True)


def main() -> int:
    if find():
        return 0
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
    if os.getuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium for the browser tests ...", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update"], check=False, **quiet)
        if subprocess.run(command, check=False, **quiet).returncode == 0 and find():
            return 0
    print(
        "The browser tests need Chromium, which is not on this machine. Install it with\n"
        f"    sudo {' '.join(command)}\n"
        "(elsewhere: your system's package chromium), or name one: CHROMIUM=/path/to/chromium make test"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
