"""Tells the demonstration's visitor (deploy/local/traffic.py) which lanes to ask, once or twice a second each."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from apps.environments.models import Lane


def write_lanes(path: Path, lanes: Iterable[Lane]) -> None:
    """This function will write the lanes where something runs; the visitor looks at the file by itself."""
    rows = [
        # The greeter's own page is asked, since that is where its bad versions misbehave.
        {
            "key": lane.target_key,
            "port": lane.port,
            "path": "/" if lane.service.slug == "greeter" else lane.service.health_path,
        }
        for lane in lanes
        if lane.live_release_id and lane.port
    ]
    text = json.dumps({"lanes": rows}, indent=1)
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    os.replace(fresh, path)
