import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.deployments.executors.contract import ReleaseRef
from deploy.launcher.paths import ROOT
from deploy.local import make_greeter
from tests.executors.conftest import Site
from tests.processes import eventually


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "lanes.json", tmp_path / "traffic.json"


def test_traffic_follows_the_lanes_and_counts_what_fails(
    site: Site, greeter: Callable[[str], ReleaseRef], places: tuple[Path, Path]
) -> None:
    lanes, state = places
    good, faulty = site.new_target(), site.new_target()
    site.deploy(site.order(good, greeter("v1.0.0")))
    site.deploy(site.order(faulty, greeter(make_greeter.FAULTY)))
    rows = [{"key": target.lane_key, "port": target.port, "path": "/"} for target in (good, faulty)]

    def counts(key: str) -> dict[str, Any]:
        found = json.loads(state.read_text())["lanes"] if state.exists() else {}
        return found.get(key, {"ok": 0, "failed": 0})

    process = subprocess.Popen([sys.executable, "-m", "deploy.local.traffic", str(lanes), str(state)], cwd=ROOT)
    try:
        eventually(state.exists)
        lanes.write_text(json.dumps({"lanes": rows}))
        eventually(lambda: counts(good.lane_key)["ok"] >= 2 and counts(faulty.lane_key)["failed"] >= 1)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=5)

    assert process.returncode == 0
    assert counts(good.lane_key)["failed"] == 0
    assert counts(faulty.lane_key)["last_failure"] == "500 Internal Server Error"
