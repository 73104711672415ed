"""The demonstration's world, loaded by its command; its programs come up in tests/deployments and by hand."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db.models import Q
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import actions as approval_actions
from apps.approvals.models import Promotion, Tick, Waiver
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.changelogs.models import ChangelogEntry
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.dashboards.demonstration import backups, catalogue, people, places, visits
from apps.dashboards.demonstration.journey import GOALS, Journey
from apps.dashboards.management.commands.load_demonstration import Command
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.enums import Tier
from apps.environments.models import Environment, Lane, Resource
from apps.releases.enums import ReleaseState
from apps.releases.models import Release, Service
from apps.workspaces.scope import workspace_scope
from tests.approvals.promotions import put_in_force
from tests.reported import reported


@pytest.fixture
def journey(db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Journey]:
    """The world with all releases of the package index, and nothing asked for yet; in a scope that sees it all."""
    monkeypatch.setattr(settings, "TARGET_DIR", tmp_path / "target")
    monkeypatch.setattr(settings, "REPOSITORY_DIR", tmp_path / "repositories")
    with workspace_scope([PLATFORM_WORKSPACE_ID, places.CUSTOMER_ID]):
        yield Command(stdout=io.StringIO())._world()


def complete(promotion: Promotion) -> None:
    """End a promotion as its deployment would; what comes to Dev is reported of, as the programs of others can be."""
    approval_actions.mark(promotion, "DEPLOYING", by=SYSTEM, now=timezone.now())
    approval_actions.mark(promotion, "COMPLETED", by=SYSTEM, now=timezone.now())
    promotion.refresh_from_db()
    reported(promotion.release, but=("LCOV",))
    # In between, nothing runs that could be gone back to: only a real deployment leaves its files.
    between = Q(environment__tier__in=[Tier.QA, Tier.STAGING])
    Lane.objects.filter(~between, pk=promotion.lane_id).update(
        live_release=promotion.release, live_configuration=promotion.configuration, live_since=timezone.now()
    )


def test_the_environments_are_those_of_the_strategy(journey: Journey) -> None:
    rows = Environment.objects.standing().filter(workspace_id=PLATFORM_WORKSPACE_ID)

    assert list(rows.values_list("tier", "purpose", "data_class")) == [
        ("DEV", "Active development", "SYNTHETIC"),
        ("QA", "Integration and validation", "MASKED"),
        ("STAGING", "Pre-production validation", "PRODUCTION_LIKE"),
        ("PRODUCTION", "Live customer traffic", "REAL"),
    ]
    assert Environment.objects.get(workspace_id=places.CUSTOMER_ID).tier == Tier.PRODUCTION
    for environment in Environment.objects.all():
        assert Resource.objects.filter(environment=environment).count() >= 3


def test_the_window_of_production_says_that_it_is_the_demonstration_s(journey: Journey) -> None:
    window = Environment.objects.get(slug="production").windows.get()

    assert "Demonstration" in window.label
    assert "Tue to Thu, 10:00 to 15:00" in window.label


def test_every_release_of_the_catalogue_is_there_with_its_own_date_digest_and_notes(journey: Journey) -> None:
    told = json.loads(catalogue.CATALOGUE.read_text())["services"]

    for service in told:
        for version in service["versions"]:
            release = Release.objects.get(service__slug=service["slug"], version=version["version"])
            assert release.state == ReleaseState.SEALED
            assert release.artifact_digest == version["digest"]
            assert version["released_at"].startswith(release.published_date.isoformat())
            assert ChangelogEntry.objects.filter(release=release).count() == len(version["notes"])


@pytest.mark.parametrize("slug", ["package-index", "calendar", "file-share"])
def test_the_history_of_a_service_has_every_kind_of_step(journey: Journey, slug: str) -> None:
    kinds = set(Release.objects.filter(service__slug=slug).values_list("kind", flat=True))

    assert kinds >= {"PATCH", "MINOR", "MAJOR"}
    assert Release.objects.filter(service__slug=slug).count() >= 4


def test_the_accounts_can_sign_in_and_are_named_after_their_roles(journey: Journey) -> None:
    for account in people.ACCOUNTS:
        assert Client().login(username=account.username, password=people.PASSWORD), account.username
    assert set(User.objects.values_list("username", flat=True)) == {account.username for account in people.ACCOUNTS}


def test_loading_again_changes_nothing(journey: Journey) -> None:
    before = AuditEvent.objects.count()

    Command(stdout=io.StringIO())._world()

    assert AuditEvent.objects.count() == before


def test_a_load_that_was_cut_short_goes_on(journey: Journey) -> None:
    calendar = Service.objects.get(slug="calendar")
    lane = Lane.objects.get(service=calendar, environment__slug="dev")

    environment_actions.remove_lane(lane, by=journey.people["devops"], now=timezone.now())
    again = Command(stdout=io.StringIO())._world()

    assert again.lanes["calendar", "dev"].pk != lane.pk


def test_each_service_is_asked_for_where_it_goes_first(journey: Journey) -> None:
    assert journey.step(timezone.now())

    asked = Promotion.objects.values_list("release__service__slug", "lane__environment__slug", "requested_by__username")
    assert set(asked) == {
        (slug, "dev", "release-engineer") for slug in ("package-index", "calendar", "file-share")
    }  # the greeter is not built yet


def test_the_journey_ends_with_something_left_to_the_visitor(journey: Journey) -> None:
    said: list[str] = []
    journey.say = said.append
    # A second release in Production needs one to go back to, which only a real deployment leaves.
    journey.goals = [goal for goal in journey.goals if goal.service != "greeter" and goal.version != "2.4.0"]
    put_in_force("DEV", "checklist")

    now = timezone.now()
    backups.report(now)
    for _ in range(60):
        now += timedelta(minutes=2)  # longer than a release soaks
        if not journey.step(now):
            break
        for promotion in Promotion.objects.filter(state="READY"):
            complete(promotion)
    else:
        pytest.fail(f"it does not end: {said[-3:]}")

    approved, reported_of = Promotion.objects.open().order_by("lane__environment__position")[::-1]
    assert (approved.release.version, approved.lane.environment.slug) == ("2.4.1", "production")
    assert [requirement.role_id for requirement in approved.requirements.all()] == ["ENGINEERING_MANAGER", "DEVOPS"]
    assert (reported_of.release.version, reported_of.lane.environment.slug) == ("4.3.4", "staging")
    assert [row["name"] for row in reported_of.gates if row["outcome"] == "WAITING"] == ["coverage"]
    assert {waiver.gate for waiver in Waiver.objects.all()} == {"coverage"}
    live = {
        (lane.service.slug, lane.environment.slug): lane.live_release.version
        for lane in Lane.objects.exclude(live_release=None).select_related("service", "environment", "live_release")
    }
    assert live["package-index", "production"] == "2.3.2"
    assert live["package-index", "customer-production"] == "2.3.2"
    assert live["calendar", "dev"] == "3.8.0"
    accepted = Promotion.objects.get(lane__environment__slug="customer-production")
    assert accepted.decisions.get().decided_by.username == "customer-operator"
    assert Tick.objects.filter(ticked_by__username="release-engineer", line__line="notes").exists()
    assert not Deployment.objects.exists()


def test_what_a_visitor_did_meanwhile_is_left_as_it_is(journey: Journey) -> None:
    journey.step(timezone.now())
    asked = Promotion.objects.get(release__service__slug="calendar")
    approval_actions.withdraw(asked, reason="Mine now", by=journey.people["release-engineer"], now=timezone.now())

    journey.step(timezone.now())

    assert Promotion.objects.filter(release__service__slug="calendar").count() == 1


def test_every_goal_names_a_release_and_lanes_that_exist(journey: Journey) -> None:
    built = {"1.0.1", "1.1.0", "2.0.0"}

    for goal in GOALS:
        assert all((goal.service, place) in journey.lanes for place in goal.environments)
        if goal.service != catalogue.GREETER:
            assert Release.objects.filter(service__slug=goal.service, version=goal.version).exists()
        else:
            assert goal.version in built


def test_the_visitor_asks_only_lanes_where_something_runs(journey: Journey, tmp_path: Path) -> None:
    lane = journey.lanes["calendar", "dev"]
    release = Release.objects.filter(service=lane.service).first()
    Lane.objects.filter(pk=lane.pk).update(live_release=release, live_since=timezone.now())

    visits.write_lanes(tmp_path / "lanes.json", Lane.objects.select_related("service"))

    rows = json.loads((tmp_path / "lanes.json").read_text())["lanes"]
    assert rows == [{"key": lane.target_key, "port": lane.port, "path": lane.service.health_path}]


def test_the_accounts_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("load_demonstration", "--accounts")

    told = capsys.readouterr().out
    assert people.PASSWORD in told
    assert all(account.username in told for account in people.ACCOUNTS)
