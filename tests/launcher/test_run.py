"""`make run` itself: the real thing, in a data directory of its own."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg
import pytest

from deploy.launcher import ports, processes
from deploy.launcher.paths import ROOT
from tests.processes import eventually

ANSWER_SECONDS = 180  # a limit on a busy machine; it takes 3 to 30


class Portal:
    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = ports.free_ports(1)[0]
        self.output = data.with_suffix(".out")

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        """Start the portal as people do, with embedded engines: what the tests' own engines set is taken away."""
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "deploy.launcher", "run"],
                cwd=ROOT,
                env=self._environment() | {"PORT": str(self.port), "DEMONSTRATION": "0"} | more,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of the portal's commands as the runbooks say."""
        command = [sys.executable, "-m", "deploy.launcher", "manage", *words]
        return subprocess.run(
            command, cwd=ROOT, env=self._environment(), capture_output=True, text=True, check=False, timeout=60
        )

    def _environment(self) -> dict[str, str]:
        ours = ("DATABASE_", "REDIS_", "EAIP_", "ENGINE_", "HEALTH_", "PYTEST", "DJANGO_", "SECRET_", "DEBUG", "COV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | {"EAIP_DATA_DIR": str(self.data)}

    def said(self) -> str:
        return self.output.read_text()

    def wait_for_answer(self, front: subprocess.Popen[bytes]) -> None:
        def answers() -> bool:
            assert front.poll() is None, self.said()
            return "answers after" in self.said()

        eventually(answers, within_seconds=ANSWER_SECONDS)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/sign-in/", timeout=10) as answer:
            assert answer.status == 200

    def owner_url(self) -> str:
        """Return the address of the embedded database, whose port its command line tells."""
        secrets = json.loads((self.data / "secrets.json").read_text())
        note = (self.data / "postgres" / "postmaster.pid").read_text().splitlines()
        return f"postgresql://eaip_owner:{secrets['database_owner']}@127.0.0.1:{note[3]}/eaip"


@pytest.fixture
def portal_of_its_own(tmp_path: Path) -> Portal:
    return Portal(tmp_path / "with a space" / "run")


def leave_nothing(pids: list[int]) -> None:
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), within_seconds=20)


@pytest.mark.slow
def test_start_second_start_kill_and_start_again(portal_of_its_own: Portal) -> None:
    portal = portal_of_its_own
    portal.data.parent.mkdir()
    front = portal.start()
    try:
        portal.wait_for_answer(front)
        with psycopg.connect(portal.owner_url()) as connection:
            connection.execute("CREATE TABLE kept_between_starts ()")
        second = Portal(portal.data)
        second.output = portal.data.with_suffix(".second")
        assert second.start().wait(30) == 1
        assert f"already runs from this clone (process {front.pid}): http://127.0.0.1:{portal.port}/" in second.said()

        answered = portal.manage("api_token", "list", "--by", "nobody")
        assert "There is no active account nobody" in answered.stderr, answered

        everything = list(processes.descendants(front.pid))
        front.kill()
        front.wait()
        leave_nothing(everything)
        refused = portal.manage("api_token", "list", "--by", "nobody")
        assert (refused.returncode, "The portal does not run" in refused.stdout + refused.stderr) == (1, True), refused

        front = portal.start()
        portal.wait_for_answer(front)
        assert "migrated" not in portal.said(), "a second start has nothing to migrate"
        with psycopg.connect(portal.owner_url()) as connection:
            connection.execute("SELECT FROM kept_between_starts")
        everything = list(processes.descendants(front.pid))
        assert len(everything) > 5

        front.send_signal(signal.SIGINT)

        assert front.wait(30) == 0, portal.said()
        assert not any(Path(f"/proc/{pid}").exists() for pid in everything)
    finally:
        if front.poll() is None:
            front.send_signal(signal.SIGTERM)
            front.wait(30)
