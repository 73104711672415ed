"""A real push into a real bare repository, and what the hook sends of it."""

import hashlib
import hmac
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.integrations.git_repository import GitRepository
from deploy.local import make_greeter, post_receive

SECRET = "a secret of the repository"


@dataclass
class Receiver:
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0
    status: int = 202

    @property
    def payloads(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.requests.append((dict(self.headers), body))
            self.send_response(received.status)
            self.end_headers()
            self.wfile.write(b"Release 2.3.1 is on its way.")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield received
        server.shutdown()
        thread.join()


@pytest.fixture
def bare(tmp_path: Path, receiver: Receiver) -> GitRepository:
    repository = make_greeter.make(tmp_path / "a folder" / "greeter.git")
    post_receive.install(repository.path, url=f"http://127.0.0.1:{receiver.port}/hook", secret=SECRET)
    return repository


@pytest.fixture
def work(tmp_path: Path, bare: GitRepository) -> Path:
    git(tmp_path, "clone", "--quiet", str(bare.path), "work")
    return tmp_path / "work"


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Platform developer", "-c", "user.email=platform-developer@example.com")
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *who, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    return done.stderr.decode() + done.stdout.decode()


def test_a_push_is_told_as_github_does_and_signed(bare: GitRepository, work: Path, receiver: Receiver) -> None:
    before = bare.resolve("main")
    (work / "README.md").write_text("# Greeter\n\nSays hello.\n")
    for number in range(2):
        git(work, "commit", "--quiet", "--all", "--allow-empty", "--message", f"docs: shorten, part {number}")

    said = git(work, "push", "origin", "main")

    ((headers, body),) = receiver.requests
    (payload,) = receiver.payloads
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == expected
    assert (headers["X-Github-Event"], headers["Content-Type"]) == ("push", "application/json")
    assert (payload["ref"], payload["before"], payload["after"]) == ("refs/heads/main", before, bare.resolve("main"))
    assert [commit["message"] for commit in payload["commits"]] == ["docs: shorten, part 0", "docs: shorten, part 1"]
    assert payload["head_commit"]["id"] == payload["after"]
    assert payload["repository"]["full_name"] == "greeter"
    assert (payload["created"], payload["deleted"], payload["forced"]) == (False, False, False)
    assert "the portal answered 202. Release 2.3.1 is on its way." in said


def test_an_annotated_tag_is_told_with_its_commit(bare: GitRepository, work: Path, receiver: Receiver) -> None:
    git(work, "tag", "--annotate", "v2.4.0", "--message", "2.4.0")
    git(work, "push", "--quiet", "origin", "v2.4.0")

    (payload,) = receiver.payloads
    assert (payload["ref"], payload["created"]) == ("refs/tags/v2.4.0", True)
    assert payload["after"] == bare.resolve("main")


def test_a_deleted_branch_is_told_without_commits(work: Path, receiver: Receiver) -> None:
    git(work, "push", "--quiet", "origin", "--delete", "develop")

    (payload,) = receiver.payloads
    assert (payload["deleted"], payload["after"], payload["commits"], payload["head_commit"]) == (True, "", [], None)


def test_a_rewritten_branch_is_told_as_forced(work: Path, receiver: Receiver) -> None:
    git(work, "reset", "--quiet", "--hard", "HEAD~1")
    git(work, "commit", "--quiet", "--allow-empty", "--message", "fix: another way")
    git(work, "push", "--quiet", "--force", "origin", "main")

    assert receiver.payloads[0]["forced"]


def test_a_refusal_is_shown_to_whoever_pushes(work: Path, receiver: Receiver) -> None:
    receiver.status = 422
    git(work, "tag", "not-a-version")

    said = git(work, "push", "origin", "not-a-version")

    assert "the portal refused it (422). Release 2.3.1" in said


def test_a_portal_that_is_away_does_not_spoil_the_push(bare: GitRepository, work: Path) -> None:
    post_receive.install(bare.path, url="http://127.0.0.1:9/hook", secret=SECRET)
    git(work, "tag", "v2.4.0")

    said = git(work, "push", "origin", "v2.4.0")

    assert "did not answer" in said
    assert bare.resolve("v2.4.0")
