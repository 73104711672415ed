"""A portal with its worker and its target, as `make run` has them; the engine's clocks are seconds."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from tests.browser.conftest import complaints, open_page  # noqa: F401  fixtures
from tests.cast import Cast
from tests.functional.scene import Scene, make_scene
from tests.functional.seats import Seat
from tests.processes import Child, DeploymentTarget, WebServer, start_worker

NewScene = Callable[..., Scene]
NewSeat = Callable[..., Seat]
ANSWER_MILLISECONDS, USUAL_MILLISECONDS = 30_000, 5_000


@pytest.fixture
def busy_worker(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[Child]:
    """A worker that looks long enough after a switch to see what goes wrong under traffic."""
    with start_worker(tmp_path, environment={"ENGINE_VERIFY_INTERVAL_SECONDS": "1"}) as started:
        yield started


@pytest.fixture
def new_scene(
    cast: Cast, portal: WebServer, busy_worker: Child, deployment_target: DeploymentTarget, tmp_path: Path
) -> Iterator[NewScene]:
    yield lambda *places: make_scene(cast, portal, busy_worker, tmp_path, *places)
    shutil.rmtree(Path(os.environ["EAIP_REPOSITORY_DIR"]) / "greeter.git", ignore_errors=True)


@pytest.fixture
def seat(open_page: Callable[..., Page], portal: WebServer) -> Iterator[NewSeat]:  # noqa: F811
    """Seats a person at a browser of their own, signed in through the form."""
    # Five browsers, a worker and programs under load share the machine, so an answer may take a while.
    expect.set_options(timeout=ANSWER_MILLISECONDS)

    def seated(user: User, *, scripts: bool = True) -> Seat:
        page = open_page(java_script_enabled=scripts, accept_downloads=True)
        page.set_default_timeout(ANSWER_MILLISECONDS)
        taken = Seat(page, portal, user, has_scripts=scripts)
        taken.sign_in()
        return taken

    yield seated
    expect.set_options(timeout=USUAL_MILLISECONDS)
