from pathlib import Path
from typing import Any

import pytest

from apps.core import hints


@pytest.fixture(autouse=True)
def _own_artifact_store(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What workers are told of, told here at once instead of after commit."""
    told: list[tuple[str, object]] = []
    monkeypatch.setattr(hints, "wake", lambda task, row: told.append((task, row)))
    return told
