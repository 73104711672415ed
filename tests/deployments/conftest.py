import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import actions as approval_actions
from apps.approvals.models import Promotion
from apps.deployments import actions, runner
from apps.deployments.enums import TERMINAL, DeploymentState
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.environments.models import Environment, Lane
from apps.releases.models import Release
from apps.workspaces.scope import workspace_scope
from deploy.launcher import ports, processes
from deploy.launcher.engines import Valkey
from tests.cast import Cast
from tests.deployments.file_target import Judge
from tests.engines import PASSWORD, wait_until
from tests.processes import Child, WebServer, eventually
from tests.reported import reported
from tests.world import World


@pytest.fixture
def judge(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """The target made of files, for this process and for workers that it starts."""
    monkeypatch.setenv("EXECUTORS", "local=tests.deployments.file_target.executor")
    monkeypatch.setenv("EAIP_TARGET_DIR", str(tmp_path / "target"))
    settings.EXECUTORS = {"local": "tests.deployments.file_target.executor"}
    settings.TARGET_DIR = tmp_path / "target"
    settings.ENGINE_VERIFY_INTERVAL = timedelta(seconds=0.01)
    return Judge(tmp_path / "target")


def whole(cast: Cast) -> AbstractContextManager[None]:
    """A scope that sees all workspaces."""
    return workspace_scope([workspace.pk for workspace in cast.workspaces])


@dataclass
class Stage:
    """The world with a target to deploy to; every call commits, as in the product."""

    world: World
    judge: Judge

    def everything(self) -> AbstractContextManager[None]:
        return self.world.everything()

    def lane(self, environment: Environment | None = None) -> Lane:
        with self.everything():
            lane = self.world.lane(environment or self.world.dev)
            return Lane.objects.with_cell().get(pk=lane.pk)

    def release(self, version: str) -> Release:
        with self.everything():
            return self.world.next_release(version)

    def promotion(
        self,
        release: Release | None = None,
        environment: Environment | None = None,
        *,
        starts_by_itself: bool = False,
    ) -> Promotion:
        release, environment = release or self.world.release, environment or self.world.dev
        with self.everything():
            return approval_actions.request_promotion(
                release if environment == self.world.dev else reported(release),
                lane=self.world.lane(environment),
                by=self.world.cast.release_engineer,
                now=timezone.now(),
                starts_by_itself=starts_by_itself,
            )

    def start(self, release: Release | None = None, environment: Environment | None = None) -> Deployment:
        promotion = self.promotion(release, environment)
        with self.everything():
            return actions.start_deployment(promotion, by=self.world.cast.release_engineer, now=timezone.now())

    def deploy(self, version: str | None = None) -> Deployment:
        """Bring a new version (or the world's release) to Dev, to whatever end.

        A machine that stands still for longer than a lease takes the attempt from its worker; the next one goes on.
        """
        deployment = self.start(self.release(version) if version else None)
        left_by_a_worker = {DeploymentState.UNKNOWN, *TERMINAL}

        def ran() -> Deployment | None:
            runner.run(deployment.pk)
            seen = self.fresh(deployment)
            return seen if seen.state in left_by_a_worker else None

        return eventually(ran)

    def let_probe(self, deployment: Deployment) -> None:
        """Let the target be asked now what became of it."""
        with self.everything():
            Deployment.objects.filter(pk=deployment.pk).update(probe_after=timezone.now() - timedelta(seconds=5))
        runner.run(deployment.pk)

    def run_until(self, step: StepKind, deployment: Deployment) -> threading.Thread:
        """Start the attempt in a thread and return when it stands in the step."""
        self.judge.hold(step)

        def work() -> None:
            try:
                runner.run(deployment.pk)
            finally:
                connection.close()

        thread = threading.Thread(target=work)
        thread.start()
        eventually(lambda: self.judge.is_waiting(step))
        return thread

    def fresh(self, deployment: Deployment) -> Deployment:
        with self.everything():
            return Deployment.objects.with_subject().get(pk=deployment.pk)

    def rollback_of(self, deployment: Deployment) -> Deployment:
        with self.everything():
            return Deployment.objects.with_subject().get(rolls_back=deployment)

    def states(self, deployment: Deployment) -> list[str]:
        with self.everything():
            return list(deployment.transitions.order_by("n").values_list("to_state", flat=True))

    def ended(self, deployment: Deployment) -> Callable[[], Deployment | None]:
        def look() -> Deployment | None:
            seen = self.fresh(deployment)
            return None if seen.is_open else seen

        return look

    def is_in(self, deployment: Deployment, state: DeploymentState) -> Callable[[], bool]:
        return lambda: self.fresh(deployment).state == state


@pytest.fixture
def stage(transactional_db: None, world: World, judge: Judge) -> Stage:
    return Stage(world, judge)


@pytest.fixture
def broker(tmp_path: Path):
    """A Valkey of this test's own, which it may stop."""
    server = Valkey(tmp_path / "valkey", port=ports.free_ports(1)[0], password=PASSWORD, durable=False)
    server.prepare()

    def start() -> Child:
        log = tmp_path / "valkey.log"
        program = server.program()
        child = Child(program=program, process=processes.spawn(program, log), log=log)
        wait_until(server.is_ready, process=child.process, log=log)
        return child

    return f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0", start


def signed_in(server: WebServer, person: User) -> httpx2.Client:
    """Return that person's browser, without the pages."""
    client = Client()
    client.force_login(person)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    return httpx2.Client(base_url=server.url, cookies={settings.SESSION_COOKIE_NAME: cookie}, timeout=30)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a measured figure where it is seen, also when the test passes."""

    def print_it(words: str) -> None:
        with capsys.disabled():
            print(f"\n  {words}", flush=True)

    return print_it
