"""The witness as a customer runs it: it asks a portal over HTTP, signs while the log grows, and else refuses."""

import base64
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.audit.notes import VerifierKey, cosigned_at
from clients.verify_audit import KINDS, UNREACHABLE, main
from tests.audit.sealed_log import Log, consistency

TOKEN = "token-of-the-witness"


class Portal(ThreadingHTTPServer):
    def __init__(self, log: Log) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.log = log
        self.received: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/log"


class Handler(BaseHTTPRequestHandler):
    server: Portal

    def do_GET(self) -> None:
        log, asked = self.server.log, urlsplit(self.path)
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._answer(401, "Sign in.")
        if asked.path == "/log/checkpoint":
            return self._answer(200, log.notes[-1])
        old, new = (int(parse_qs(asked.query)[name][0]) for name in ("old", "new"))
        proof = consistency(old, log.leaves[:new])
        return self._answer(200, "".join(f"{base64.b64encode(step).decode()}\n" for step in proof))

    def do_POST(self) -> None:
        self.server.received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._answer(201, "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is told to the terminal."""


@pytest.fixture
def portal() -> Iterator[Portal]:
    log = Log()
    log.add(5)
    log.seal()
    with Portal(log) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def arguments(portal: Portal, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert main(["witness", "--new-key", str(tmp_path / "own.pem"), "--name", "witness.test"]) == 0
    (tmp_path / "own.vkey").write_text(capsys.readouterr().out)
    given = {
        "--url": portal.url, "--token-file": tmp_path / "token", "--state": tmp_path / "last.note",
        "--key": portal.log.keys[0], "--key-file": tmp_path / "own.pem", "--name": "witness.test",
    }  # fmt: skip
    return ["witness", *(str(word) for pair in given.items() for word in pair)]


def test_witness_signs_what_goes_on_from_what_it_holds(portal: Portal, arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(Path(main.__code__.co_filename)), *arguments]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    portal.log.add(9)
    portal.log.seal()

    assert main(arguments) == 0

    assert (tmp_path / "own.pem").stat().st_mode & 0o077 == 0
    assert (tmp_path / "last.note").read_text() == portal.log.notes[-1]
    own = VerifierKey.read((tmp_path / "own.vkey").read_text())
    for note, received in zip(portal.log.notes, portal.received, strict=True):
        body, _, line = received.partition("\n\n")
        assert note.startswith(f"{body}\n\n")
        assert cosigned_at(f"{body}\n", own, line), "the portal's own code reads it"


def _fork(log: Log) -> None:
    log.entries[2] = log.entry(log.now)
    log.add(3)
    log.seal()


def _restore(log: Log) -> None:
    del log.entries[3:]
    log.seal()


def _turn_the_clock_back(log: Log) -> None:
    log.now = log.now.replace(year=2025)
    log.add()
    log.seal()


def _sign_with_another_key(log: Log) -> None:
    log.key = Log().key
    log.add()
    log.seal()


def _spoil(log: Log) -> None:
    log.notes[-1] = log.notes[-1].replace("\n5\n", "\n6\n")


REFUSED = {
    "forked": _fork, "restored": _restore, "clock-backwards": _turn_the_clock_back,
    "wrong-key": _sign_with_another_key, "bad-signature": _spoil,
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_witness_refuses_alarms_and_keeps_the_evidence(
    kind: str, portal: Portal, arguments: list[str], tmp_path: Path
) -> None:
    assert main(arguments) == 0
    held = (tmp_path / "last.note").read_text()
    REFUSED[kind](portal.log)

    assert main(arguments) == KINDS[kind][0]

    assert len(portal.received) == 1, "nothing was signed"
    assert (tmp_path / "last.note").read_text() == held
    assert (tmp_path / "last.note.alarm").read_text() == f"{held}--\n{portal.log.notes[-1]}"


def test_portal_that_does_not_answer_is_no_finding(
    portal: Portal, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("of somebody else")

    assert main(arguments) == UNREACHABLE
    assert "answered 401" in capsys.readouterr().err


def test_token_is_not_sent_over_an_open_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments[arguments.index("--url") + 1] = "http://portal.example.com/log"

    assert main(arguments) == 1
    assert "not an https address" in capsys.readouterr().err
