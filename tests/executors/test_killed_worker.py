"""kill -9 of a worker in the middle of an installation: no child is left, and the next worker finishes the work."""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import pytest

from apps.deployments.executors.contract import Standing, StepKind
from deploy.launcher.paths import ROOT
from tests.executors.conftest import Site
from tests.mirror import Mirror, release

WORKER = """
import json, sys
from pathlib import Path
from apps.deployments.executors.contract import ReleaseRef
from apps.deployments.executors.guard import Lifeline
from apps.deployments.executors.installation import Installation
from apps.deployments.executors.lane import Lane
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.package_index import PackageIndex

store, index, lanes, key, release = sys.argv[1:]
installation = Installation(ArtifactStore(Path(store)), PackageIndex(index), silence=20, limit=60)
wanted = ReleaseRef(**json.loads(release))
with Lane(Path(lanes), key).at_work() as lock:
    installation.fetch(wanted, lifeline=Lifeline(), log=print)
    installation.install(wanted, lifeline=Lifeline(), log=print, lock=lock)
    print("installed")
"""


def at_work_in(folder: Path) -> list[str]:
    """The command lines of the processes that name a folder below this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{folder}/installed/.incoming-" in command:
                found.append(command)
    return found


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.25])
def test_an_installation_that_lost_its_worker_leaves_no_child_and_is_done_again(
    site: Site, mirror: Mirror, moment: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = site.executor.slots.installation.store
    monkeypatch.setattr(store, "root", tmp_path / "own-store")
    target, wanted = site.new_target("/"), release("wsgidav", "4.0.1")
    order = site.order(target, wanted, deployment_id=uuid4())
    arguments = [str(store.root), mirror.url, str(site.executor.slots.target_dir), target.lane_key]
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments, json.dumps(asdict(wanted))], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while not at_work_in(store.root):
        assert worker.poll() is None, "the installation was over before it was seen"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(moment)

    worker.kill()
    worker.wait()
    killed = time.monotonic()
    while at_work_in(store.root):
        assert time.monotonic() - killed < 2, at_work_in(store.root)
        time.sleep(0.01)

    site.executor.clocks = type(site.executor.clocks)(patience=5)
    site.deploy(order)
    assert site.executor.probe(order).state is Standing.APPLIED
    assert site.read(target)[1] == "4.0.1"
    assert not site.step(StepKind.INSTALL, order).changed
