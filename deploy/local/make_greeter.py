"""Makes the greeter's bare repository: real commits and tags, the same hashes each time.

`python -m deploy.local.make_greeter <folder>`, or `make(folder)`. Four good versions come first; then one that is slow,
one that gets unhealthy after a while, one that answers with errors, one that doesn't start, and one that mends all.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

from apps.integrations.git_repository import GitRepository

SOURCE = Path(__file__).with_name("greeter")
CODE, PROJECT, README = "src/greeter/__init__.py", "pyproject.toml", "README.md"
TESTS = "tests/test_greeter.py"
ENGINEER = ("Release engineer", "release-engineer@example.com")
DEVELOPER = ("Platform developer", "platform-developer@example.com")


@dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Change:
    message: str
    date: str
    edits: tuple[Edit, ...] = ()
    tag: str = ""


def _version(old: str, new: str, date: str) -> Change:
    return Change(f"chore(release): {new}", date, (Edit(PROJECT, f'"{old}"', f'"{new}"'),), tag=f"v{new}")


HISTORY = (
    Change("feat: say hello", "2026-08-03T09:10:00+00:00", tag="v1.0.0"),
    Change(
        "fix: answer an unknown path with 404\n\nIt ended in a traceback and a 500 before.",
        "2026-08-11T08:40:00+00:00",
        (
            Edit(
                CODE,
                '    pages = {"/": greet, "/health": health}',
                '    def unknown(environ):\n        return "404 Not Found", "There is nothing here."\n\n'
                '    pages = {"/": greet, "/health": health}',
            ),
            Edit(CODE, 'pages[environ["PATH_INFO"]](environ)', 'pages.get(environ["PATH_INFO"], unknown)(environ)'),
            Edit(
                TESTS,
                '        assert ask("/health") == ("200 OK", "ok")\n',
                '        assert ask("/health") == ("200 OK", "ok")\n\n'
                "    def test_an_unknown_path_is_answered(self):\n"
                '        assert ask("/nowhere") == ("404 Not Found", "There is nothing here.")\n',
            ),
        ),
    ),
    _version("1.0.0", "1.0.1", "2026-08-11T13:05:00+00:00"),
    Change(
        "feat: greet by name\n\n`/?name=Ada` greets Ada.",
        "2026-08-27T10:20:00+00:00",
        (
            Edit(CODE, 'HTTP."""\n', 'HTTP."""\n\nfrom urllib.parse import parse_qs\n'),
            Edit(
                CODE,
                '        return "200 OK", f"{greeting}!"',
                '        name = parse_qs(environ.get("QUERY_STRING", "")).get("name", [""])[0][:80]\n'
                '        return "200 OK", f"{greeting}, {name}!" if name else f"{greeting}!"',
            ),
            Edit(
                TESTS,
                '        assert ask("/") == ("200 OK", "Hello!")\n',
                '        assert ask("/") == ("200 OK", "Hello!")\n\n'
                "    def test_it_greets_by_name(self):\n"
                '        assert ask("/", "name=Ada") == ("200 OK", "Hello, Ada!")\n',
            ),
        ),
    ),
    Change(
        "docs: say how to greet by name",
        "2026-08-27T10:31:00+00:00",
        (Edit(README, "`GET /` greets,", "`GET /` greets, `GET /?name=Ada` greets Ada,"),),
    ),
    _version("1.0.1", "1.1.0", "2026-08-28T07:55:00+00:00"),
    Change(
        "feat!: answer with JSON\n\nBREAKING CHANGE: the body is an object with the key `greeting`, not plain text.",
        "2026-09-22T12:00:00+00:00",
        (
            Edit(CODE, "from urllib", "import json\nfrom urllib"),
            Edit(CODE, 'body = f"{text}\\n".encode()', 'body = json.dumps({"greeting": text}).encode() + b"\\n"'),
            Edit(CODE, "text/plain; charset=utf-8", "application/json"),
            Edit(TESTS, "import unittest\n", "import json\nimport unittest\n"),
            Edit(TESTS, "body.decode().strip()", 'json.loads(body)["greeting"]'),
        ),
    ),
    _version("1.1.0", "2.0.0", "2026-09-23T09:00:00+00:00"),
    Change(
        "perf: look the greeting up only when it is needed",
        "2026-10-05T09:30:00+00:00",
        (
            Edit(CODE, "import json\n", "import json\nimport time\n"),
            Edit(
                CODE,
                "        status, text = ",
                '        time.sleep(configuration.get("lookup_seconds", 0.6))\n        status, text = ',
            ),
        ),
    ),
    _version("2.0.0", "2.0.1", "2026-10-05T15:10:00+00:00"),
    Change(
        "feat: remember the visits",
        "2026-10-14T08:15:00+00:00",
        (
            Edit(CODE, '        time.sleep(configuration.get("lookup_seconds", 0.6))\n', ""),
            Edit(
                CODE,
                "    def greet(environ):\n",
                "    visits, started = [], []\n"
                '    most_visits = configuration.get("most_visits", 5)\n'
                '    longest_seconds = configuration.get("longest_seconds", 3)\n\n'
                "    def greet(environ):\n"
                "        visits.append(time.monotonic())\n",
            ),
            Edit(
                CODE,
                '        return "200 OK", "ok"',
                "        started.append(time.monotonic())\n"
                "        if len(visits) > most_visits or started[-1] - started[0] > longest_seconds:\n"
                '            return "503 Service Unavailable", "no room for more visits"\n'
                '        return "200 OK", "ok"',
            ),
        ),
    ),
    _version("2.0.1", "2.1.0", "2026-10-14T11:45:00+00:00"),
    Change(
        "feat: greet in the visitor's own language",
        "2026-10-27T09:05:00+00:00",
        (
            Edit(
                CODE,
                "    visits, started = [], []\n"
                '    most_visits = configuration.get("most_visits", 5)\n'
                '    longest_seconds = configuration.get("longest_seconds", 3)\n\n',
                "    visits = []\n\n",
            ),
            Edit(
                CODE,
                "        started.append(time.monotonic())\n"
                "        if len(visits) > most_visits or started[-1] - started[0] > longest_seconds:\n"
                '            return "503 Service Unavailable", "no room for more visits"\n',
                "",
            ),
            Edit(
                CODE,
                "        visits.append(time.monotonic())\n",
                "        visits.append(time.monotonic())\n"
                "        if len(visits) % 3 == 0:\n"
                '            return "500 Internal Server Error", "no such language"\n',
            ),
        ),
    ),
    _version("2.1.0", "2.2.0", "2026-10-28T10:00:00+00:00"),
    Change(
        "refactor: take the languages from a catalogue of their own",
        "2026-11-04T13:25:00+00:00",
        (
            Edit(CODE, "from urllib", "from greeter.languages import LANGUAGES\nfrom urllib"),
            Edit(CODE, "        if len(visits) % 3 == 0:\n", "        if not LANGUAGES:\n"),
        ),
    ),
    _version("2.2.0", "2.3.0", "2026-11-04T14:00:00+00:00"),
    Change(
        "fix: greet in one language again\n\nThe catalogue of languages was never committed, so 2.3.0 does not start.",
        "2026-11-05T08:00:00+00:00",
        (
            Edit(CODE, "from greeter.languages import LANGUAGES\n", ""),
            Edit(
                CODE,
                '        if not LANGUAGES:\n            return "500 Internal Server Error", "no such language"\n',
                "",
            ),
            Edit(CODE, "        visits.append(time.monotonic())\n", ""),
            Edit(CODE, "    visits = []\n\n", ""),
            Edit(CODE, "import time\n", ""),
        ),
    ),
    _version("2.3.0", "2.3.1", "2026-11-05T08:20:00+00:00"),
)

GOOD = ("v1.0.0", "v1.0.1", "v1.1.0", "v2.0.0", "v2.3.1")
SLOW, UNHEALTHY, FAULTY, BROKEN = "v2.0.1", "v2.1.0", "v2.2.0", "v2.3.0"


def make(folder: Path) -> GitRepository:
    """Return the repository at `folder`, made if need be: branches `main` and `develop`, a tag for each version."""
    repository = GitRepository(folder)
    if (folder / "HEAD").exists():
        return repository
    repository = GitRepository.create(folder)
    with tempfile.TemporaryDirectory(prefix="eaip-greeter-") as name:
        work = Path(name) / "work"
        copytree(SOURCE, work)
        _git(work, "init", "--quiet", "--initial-branch=main")
        for change in HISTORY:
            _commit(work, change)
        _git(work, "branch", "develop")
        _git(work, "push", "--quiet", str(folder.resolve()), "main", "develop", "--tags")
    return repository


def _commit(work: Path, change: Change) -> None:
    for edit in change.edits:
        path = work / edit.file
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise ValueError(f"{change.message.splitlines()[0]}: {edit.old!r} is not there once")
        path.write_text(text.replace(edit.old, edit.new))
    name, email = ENGINEER if change.tag else DEVELOPER
    who = {
        f"GIT_{part}_{key}": value
        for part in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", name), ("EMAIL", email), ("DATE", change.date))
    }
    _git(work, "add", "--all", env=who)
    _git(work, "commit", "--quiet", "--message", change.message, env=who)
    if change.tag:
        _git(work, "tag", "--annotate", change.tag, "--message", change.tag.removeprefix("v"), env=who)


def _git(work: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
    clean = {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *arguments], cwd=work, env=clean | (env or {}), check=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
