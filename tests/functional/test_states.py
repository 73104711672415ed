"""Pages in the states that the crawl of every page doesn't come by, as the person whom each state concerns."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page

from apps.approvals import actions as approval_actions
from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.deployments import runner
from apps.deployments.enums import DeploymentState
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.releases.enums import ReleaseState
from tests.approvals.promotions import store
from tests.browser.axe import findings_as_it_stands
from tests.browser.conftest import SignIn, sign_in  # noqa: F401  a fixture
from tests.deployments.conftest import Stage, judge, stage  # noqa: F401  fixtures
from tests.processes import WebServer, eventually
from tests.reported import reported

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.reliability]


@dataclass(frozen=True)
class States:
    """1.0.0 waits for Production, 1.1.0 is on its way to QA, 1.2.0 failed in Dev and was taken back."""

    waiting: Promotion
    running: Deployment
    failed: Deployment
    rollback: Deployment


@pytest.fixture
def states(stage: Stage) -> Iterator[States]:  # noqa: F811
    world = stage.world
    for environment in (world.dev, world.qa, world.staging):
        runner.run(stage.start(environment=environment).pk)
    good = stage.deploy("1.1.0").release
    stage.judge.behave(v1_2_0={"health": "bad"})
    failed = stage.deploy("1.2.0")
    with stage.everything():
        waiting = approval_actions.request_promotion(
            reported(world.release),
            lane=world.lane(world.production),
            by=world.cast.release_engineer,
            now=timezone.now(),
        )
        store(world.release)  # QA can go back to it
    stage.judge.hold(StepKind.CHECK_GREEN)
    running = stage.start(good, world.qa)
    attempt = threading.Thread(target=_run, args=[running])
    attempt.start()
    eventually(lambda: stage.judge.is_waiting(StepKind.CHECK_GREEN))
    yield States(waiting, running, failed, stage.rollback_of(failed))
    stage.judge.let_go(StepKind.CHECK_GREEN)
    attempt.join()


def test_every_state_is_fit_for_everyone(
    stage: Stage,  # noqa: F811
    states: States,
    portal: WebServer,
    open_page: Callable[..., Page],
    sign_in: SignIn,  # noqa: F811
) -> None:
    cast, lanes = stage.world.cast, stage.world.lanes
    with stage.everything():
        assert stage.fresh(states.failed).state == DeploymentState.FAILED
        assert states.failed.release.state == ReleaseState.QUARANTINED
        event = AuditEvent.objects.filter(kind="deployment.failed").get()
    promotion, rollback = f"/approvals/promotions/{states.waiting.number}/", f"/deployments/{states.rollback.number}/"
    staging = lanes[stage.world.staging.pk]
    visits = {
        cast.devops: [
            "/", "/?only=exceptions", "/approvals/", "/releases/", "/releases/greeter/1.0.0/",
            "/releases/greeter/1.1.0/", "/releases/greeter/1.2.0/", promotion, "/deployments/",
            f"/deployments/{states.running.number}/", f"/deployments/{states.running.number}/cancellation/",
            f"/deployments/{states.failed.number}/", rollback, f"{rollback}rollback/", f"{rollback}hold/",
        ],
        cast.release_engineer: [
            promotion, f"{promotion}withdrawal/", "/releases/new/",
            f"/approvals/promotions/{states.running.release_id}/to/{staging.pk}/",
        ],
        cast.security: ["/releases/greeter/1.1.0/quarantine/"],
        cast.auditor: [
            "/releases/new/", "/audit/?outcome=FAILED", f"/audit/{event.pk}/",
            f"/audit/?object=promotion:{states.waiting.pk}",
        ],
    }  # fmt: skip
    found = []
    for person, paths in visits.items():
        page = open_page()
        sign_in(page.context, person)
        for path in paths:
            answer = page.goto(portal.url + path)
            expected = 403 if (person, path) == (cast.auditor, "/releases/new/") else 200
            found += [] if answer and answer.status == expected else [f"{path}: {answer and answer.status}"]
            found += [f"{person} {path} {finding}" for finding in findings_as_it_stands(page)]
        page.context.close()
    assert found == []


def _run(deployment: Deployment) -> None:
    try:
        runner.run(deployment.pk)
    finally:
        connection.close()
