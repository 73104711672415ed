"""`make check`: every check, each on its own, all of them even when one fails. Edits nothing.

`make fix` uses the same tools with the same settings.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from deploy.launcher.paths import ROOT

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "eaip.settings",
    "SECRET_KEY": "only-for-checks",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "DEBUG": "1",
}


def templates() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("templates/**/*.html"))


def checks() -> dict[str, list[str]]:
    manage = [
        sys.executable,
        "-W",
        "ignore::RuntimeWarning",
        "manage.py",
    ]  # makemigrations: no server to ask, none needed
    return {
        "lint": [str(BIN / "ruff"), "check", "."],
        "format": [str(BIN / "ruff"), "format", "--check", "."],
        "types": [str(BIN / "mypy")],
        "order of imports": [str(BIN / "lint-imports"), "--no-cache"],
        "settings": [*manage, "check"],
        "migrations": [*manage, "makemigrations", "--check", "--dry-run"],
        "templates: indentation": [str(BIN / "djhtml"), "--tabwidth", "2", "--check", *templates()],
        "templates: style": [str(BIN / "djade"), "--target-version", "5.2", "--check", *templates()],
        "templates: syntax": [sys.executable, "-m", "tests.templates"],
    }


def main() -> int:
    failed = []
    for name, command in checks().items():
        since = time.monotonic()
        done = subprocess.run(
            command, check=False, cwd=ROOT, env=os.environ | ENVIRONMENT, capture_output=True, text=True
        )
        print(f"  {'!!' if done.returncode else 'ok'} {name} ({time.monotonic() - since:.1f} s)", flush=True)
        if done.returncode:
            failed.append(name)
            print((done.stdout + done.stderr).strip(), flush=True)
    if failed:
        print(f"\nFailed: {', '.join(failed)}. `make fix` puts right what a program can.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
