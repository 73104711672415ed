"""The browser of the tests: Debian's Chromium. `python -m tests.chromium` installs it, or says what is missing."""

import os
import shutil
import sys

from playwright.sync_api import Browser, Playwright

from tests import debian

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
    print("Installing Chromium for the browser tests ...", flush=True)
    if debian.install("chromium") and find():
        return 0
    print(
        "The browser tests need Chromium, which is not on this machine. Install it with\n"
        f"    sudo {' '.join(debian.command('chromium'))}\n"
        "(elsewhere: your system's package chromium), or name one: CHROMIUM=/path/to/chromium make test"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
