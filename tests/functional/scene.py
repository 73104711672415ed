"""The greeter in four environments, and all that serves it: web, worker, proxy, supervisor, and its Git repository."""

import os
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.utils import timezone

from apps.api.identities import webhook_secret
from apps.approvals import actions as approval_actions
from apps.approvals.enums import Choice, PromotionState
from apps.approvals.models import Promotion
from apps.environments.enums import Tier
from apps.environments.models import Lane
from apps.integrations.git_repository import GitRepository
from apps.releases.enums import ArtifactKind, PushState, ReleaseState
from apps.releases.models import PushedCommit, Release, Service
from apps.workspaces.scope import workspace_scope
from deploy.local import make_greeter, post_receive
from tests.accounts.factors import by_password
from tests.cast import Cast
from tests.load import visiting
from tests.processes import Child, WebServer, eventually
from tests.reported import reported
from tests.world import make_environment, make_lane, make_service, open_window, without_preparation

PLACES = {"Dev": Tier.DEV, "QA": Tier.QA, "Staging": Tier.STAGING, "Production": Tier.PRODUCTION}
PATIENCE = 60

Value = TypeVar("Value")


@dataclass(frozen=True)
class Scene:
    cast: Cast
    portal: WebServer
    worker: Child
    service: Service
    lanes: Mapping[str, Lane]
    source: Path

    def everything(self) -> AbstractContextManager[None]:
        """Return a scope that sees all workspaces."""
        return workspace_scope([workspace.pk for workspace in self.cast.workspaces])

    def push(self, tag: str) -> None:
        """Push a tag to the portal's repository, as a developer does; wait for the release, with its reports."""
        self._git_push(f"refs/tags/{tag}")
        release = self.sees(lambda: self.service.releases.filter(tag=tag, state=ReleaseState.SEALED).first())
        with self.everything():
            reported(release)

    def push_again(self, tag: str) -> PushedCommit:
        """Push a tag that has been released before; return what the portal wrote down about it."""
        self._git_push(f":refs/tags/{tag}")
        self._git_push(f"refs/tags/{tag}")
        pushes = PushedCommit.objects.filter(ref=f"refs/tags/{tag}").exclude(state=PushState.RECEIVED)
        return self.sees(lambda: pushes.exclude(state=PushState.BUILT).first())

    def _git_push(self, what: str) -> None:
        said = subprocess.run(
            ["git", "push", str(settings.REPOSITORY_DIR / "greeter.git"), what],
            cwd=self.source, env={"PATH": os.environ["PATH"], "HOME": str(self.source)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "the portal answered 2" in said.stderr, said.stderr

    def bring(self, version: str, *places: str) -> None:
        """Take a release to these environments without the browser, by the same actions."""
        for place in places:
            with self.everything():
                promotion = approval_actions.request_promotion(
                    self.release(version), lane=self.lanes[place], by=self.cast.release_engineer, now=timezone.now()
                )
            self._approve(promotion)
            completed = Promotion.objects.filter(pk=promotion.pk, state=PromotionState.COMPLETED)
            self.sees(completed.exists)

    def release(self, version: str) -> Release:
        return self.service.releases.get(version=version)

    def sees(self, look: Callable[[], Value]) -> Value:
        """Wait until `look` finds something in the database."""

        def seen() -> Value:
            with self.everything():
                return look()

        return eventually(seen, within_seconds=PATIENCE, every_seconds=0.2, because=self.worker.output[-4000:])

    def answers(self, place: str) -> str:
        """Ask the service as its users do; return the version that answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.lanes[place].port}/", timeout=10) as answer:
            return str(answer.headers["X-Release"])

    def users(self, place: str) -> AbstractContextManager[Counter[str]]:
        """Have users at the service, half of them on connections that stay open."""
        return visiting(self.lanes[place].port, number=2, pause=0.04)

    def _approve(self, promotion: Promotion) -> None:
        now = timezone.now()
        deciders = {"ENGINEERING_MANAGER": self.cast.engineering_manager, "DEVOPS": self.cast.devops}
        with self.everything():
            requirements = list(promotion.requirements.filter(ended_at=None))
        for requirement in requirements:
            with self.everything():
                promotion.refresh_from_db()
                by = deciders[requirement.role_id]
                approval_actions.decide(
                    requirement, choice=Choice.APPROVE, comment="", plan_hash=promotion.plan_hash,
                    by=by, now=now, confirmation=by_password(by, now),
                )  # fmt: skip


def make_scene(cast: Cast, portal: WebServer, worker: Child, folder: Path, *places: str) -> Scene:
    """Make the service with a lane in each of these environments, and a repository that tells the portal of pushes."""
    with workspace_scope([workspace.pk for workspace in cast.workspaces]):
        service = make_service(
            cast.platform, "greeter", health_path="/health", artifact_kind=ArtifactKind.SOURCE,
            summary="A greeting: built from its repository on every push",
        )  # fmt: skip
        environments = {name: make_environment(cast.platform, name, PLACES[name]) for name in places}
        if "Production" in environments:
            open_window(environments["Production"])
            without_preparation()
        lanes = {
            name: make_lane(environment, service, greeting=f"Hello from {name}")
            for name, environment in environments.items()
        }
    GitRepository.create(settings.REPOSITORY_DIR / "greeter.git")
    post_receive.install(
        settings.REPOSITORY_DIR / "greeter.git",
        url=f"{portal.url}/api/v1/webhooks/git/greeter",
        secret=webhook_secret(service.pk),
    )
    source = make_greeter.make(folder / "source.git").path
    return Scene(cast=cast, portal=portal, worker=worker, service=service, lanes=lanes, source=source)
