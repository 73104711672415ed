"""Every page that can be reached is fit for everyone, as the person who sees most of them."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from apps.approvals import actions as approval_actions
from apps.audit.actors import SYSTEM
from apps.deployments import rollouts
from apps.environments.enums import Health, Tier
from apps.health import actions as health_actions
from apps.health import endpoints
from apps.health.endpoints import Finding
from apps.health.models import EndpointCheck
from apps.incidents import actions as incident_actions
from tests.browser import crawl
from tests.browser.axe import findings_in_every_form
from tests.browser.conftest import SignIn
from tests.deployments.conftest import Stage, judge, stage  # noqa: F401  fixtures
from tests.environments.recorded import record_all, refresh
from tests.monitoring import alert, make_token, send
from tests.processes import WebServer
from tests.world import make_environment, make_lane

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.reliability]

# Views without which the crawl has lost its way.
EXPECTED = {
    "dashboards:dashboard",
    "approvals:inbox",
    "releases:release-list",
    "releases:release-detail",
    "environments:alert-list",
    "environments:data-list",
    "environments:recovery-list",
    "deployments:deployment-list",
    "deployments:deployment-detail",
    "deployments:rollout-list",
    "deployments:rollout-detail",
    "deployments:rollout-stop",
    "health:check-list",
    "health:check-create",
    "health:check-detail",
    "health:check-change",
    "health:check-remove",
    "health:lane-queries",
    "health:service-queries",
    "incidents:incident-list",
    "incidents:incident-create",
    "incidents:incident-detail",
    "audit:event-list",
    "accounts:preferences",
}


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links out are shown by the portal that is started after this."""
    monkeypatch.setenv("LINK_GRAFANA", "https://grafana.example.com/d/x?var-service=$service&from=$from&to=$until")


@pytest.mark.usefixtures("linked")
def test_every_page_is_fit_for_everyone(stage: Stage, portal: WebServer, page: Page, sign_in: SignIn) -> None:  # noqa: F811
    stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"})
    stage.deploy("1.1.0")
    with stage.everything():
        approval_actions.request_promotion(
            stage.world.release,
            lane=stage.world.lane(stage.world.qa),
            by=stage.world.cast.release_engineer,
            now=timezone.now(),
        )
        _roll_out(stage)
        _check(stage)
        refresh(stage.world)
        record_all(stage.world)
        incident_actions.declare(
            stage.world.cast.platform,
            title="Sign-in fails",
            severity="SEV2",
            by=stage.world.cast.devops,
            now=timezone.now(),
        )
        health_actions.watch_closely(
            stage.lane(),
            until=timezone.now() + timedelta(hours=1),
            reason="An emergency",
            by=SYSTEM,
            now=timezone.now(),
        )
        token = make_token(stage.world.cast)
    send(token, alert())
    sign_in(page.context, stage.world.cast.devops)
    found: list[str] = []

    def visit(url: str) -> None:
        found.extend(f"{url.removeprefix(portal.url)} {finding}" for finding in findings_in_every_form(page, url))

    seen = crawl.pages(page, portal.url, visit=visit)

    assert found == []
    assert not [view for view in seen if view.startswith("nothing at")]
    assert set(seen) >= EXPECTED


def _check(stage: Stage) -> None:  # noqa: F811
    """Have an address asked for every lane, with one good answer and one bad one."""
    for lane in stage.world.lanes.values():
        health_actions.create_check(
            lane, name="Front door", url="https://app.example.com/", by=SYSTEM, now=timezone.now()
        )
    for verdict, detail in ((Health.HEALTHY, "200 in 12 ms"), (Health.FAULTY, "No answer within 3 s.")):
        EndpointCheck.objects.update(next_check_at=timezone.now() - timedelta(seconds=1))
        for leases in endpoints.claim(100).values():
            findings = [Finding(check, lease, verdict, None, 12.0, detail) for check, lease in leases.items()]
            endpoints.write(findings)


def _roll_out(stage: Stage) -> None:  # noqa: F811
    """Bring the first release to two more environments: one after the other, so that one of them waits."""
    world = stage.world
    places = [make_environment(world.cast.platform, name, Tier.DEV) for name in ("Dev East", "Dev West")]
    lanes = [make_lane(place, world.service) for place in places]
    rollout = rollouts.start_rollout(
        world.release, waves_of={lanes[0]: 1, lanes[1]: 2}, pause=timedelta(hours=1), reason="Quarter's release",
        by=world.cast.release_engineer, now=timezone.now(),
    )  # fmt: skip
    rollouts.go_on(rollout.pk, now=timezone.now())
