"""The pages of controls, access and what runs: for whoever may read the trail."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.compliance.models import Review
from apps.compliance.tables import safe_cell
from apps.environments.models import Lane
from apps.health.models import EndpointCheck
from apps.workspaces import actions as workspace_actions
from tests.approvals.promotions import move
from tests.cast import make_person
from tests.drill import get, post, text_of
from tests.world import World, last_event

pytestmark = pytest.mark.django_db

CONTROL = reverse("compliance:control", args=["soc2", "cc8-1"])
PAGES = [reverse(f"compliance:{name}") for name in ("overview", "review-list", "access", "population")] + [CONTROL]


@pytest.mark.parametrize("address", PAGES)
def test_page_is_there_for_auditors_and_for_nobody_without_the_right(world: World, address: str) -> None:
    assert get(world.cast.auditor, address).status_code == 200
    assert get(make_nobody(world), address).status_code == 403


def make_nobody(world: World) -> object:
    return make_person("nobody", "Nobody", (), world.cast.platform)


def test_overview_says_what_the_checks_say(world: World) -> None:
    page = text_of(get(world.cast.auditor, reverse("compliance:overview")))

    assert "Nothing was deployed to Production in the last 90 days." in page
    assert "people who may decide have no second factor" in page
    assert page.count("Met means that the portal saw it") == 1


def test_control_shows_its_entries_and_what_is_not_shown(world: World) -> None:
    page = text_of(get(world.cast.auditor, CONTROL))

    assert "What the portal can&#x27;t show" in page or "What the portal can't show" in page
    assert "Created the release" in page or "release.created" in page
    assert get(world.cast.auditor, reverse("compliance:control", args=["soc2", "cc9-9"])).status_code == 404


def test_mapping_is_taken_out_and_that_is_written_down(world: World) -> None:
    address = reverse("compliance:mapping-export")
    table = list(
        csv.DictReader(io.StringIO(text_of(post(world.cast.auditor, address, {"format": "csv", "days": "30"}))))
    )
    event = last_event("compliance.exported")
    rows = json.loads(text_of(post(world.cast.auditor, address, {"format": "json"})))

    assert [row["control"] for row in table] == [row["control"] for row in rows]
    assert (event.change["days"]["after"], event.change["rows"]["after"]) == ("30", len(table))
    assert post(world.cast.devops, address, {"format": "csv"}).status_code == 403
    assert post(world.cast.auditor, address, {"format": "xls"}).status_code == 422


def test_access_is_exported_without_formulas(world: World) -> None:
    world.cast.security.display_name = "=HYPERLINK(1)"
    world.cast.security.save()

    answer = post(world.cast.auditor, reverse("compliance:access-export"), {"what": "security"})

    [row] = csv.DictReader(io.StringIO(text_of(answer)))
    assert (row["who"], row["what"]) == ("'=HYPERLINK(1)", "Security")
    assert last_event("access.exported").change["what"]["after"] == "security"
    assert [safe_cell(text)[0] for text in ("=1", "+1", "-1", "@a", "\ta", "\ra", "\0a")] == ["'"] * 7


def test_access_of_a_moment_to_come_is_refused_with_a_sentence(world: World) -> None:
    answer = get(world.cast.auditor, f"{reverse('compliance:access')}?at=2999-01-01T00:00")

    assert answer.status_code == 422
    assert "That is to come." in text_of(answer)


def test_access_is_compared_with_another_moment(world: World) -> None:
    workspace_actions.grant_role(
        world.cast.outsider,
        role="AUDITOR",
        workspace=world.cast.platform,
        by=world.cast.administrator,
        now=timezone.now(),
    )

    page = text_of(get(world.cast.auditor, f"{reverse('compliance:access')}?before=2026-01-01T00:00&who=outsider"))

    assert "Joined in EAIP platform" in page


def test_filters_narrow_access(world: World) -> None:
    def seen(**asked: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        return text_of(get(world.cast.auditor, f"{reverse('compliance:access')}?{query}")).split("<tbody>")[-1]

    exporting = seen(capability="AUDIT_EXPORT")
    assert ["Auditor" in exporting, "Release engineer" in exporting] == [True, False]
    assert "Release engineer" in seen(environment=str(world.staging.pk))
    assert "Nothing matches" in seen(way="TOKEN")


def test_what_drifts_says_since_when_and_who_was_called(world: World) -> None:
    move(world.lane(world.staging), world.release)
    Lane.objects.filter(pk=world.lane(world.staging).pk).update(drift="runs 9.9.9", drift_since=timezone.now())

    page = text_of(get(world.cast.auditor, reverse("compliance:population")))
    table = text_of(post(world.cast.auditor, reverse("compliance:population-export"), {"standing": "DRIFT"}))

    assert "runs 9.9.9" in page
    assert "No incident; the dashboard shows it to DevOps, Second DevOps" in page
    [row] = csv.DictReader(io.StringIO(table))
    assert (row["standing"], row["release"], row["drift"]) == ("Drift", "1.0.0", "runs 9.9.9")


def test_where_drift_can_not_be_seen_it_is_said(world: World) -> None:
    lane = world.lane(world.staging)
    move(lane, world.release)
    pages = [
        reverse("compliance:population"),
        reverse("environments:environment-detail", args=[world.cast.platform.slug, world.staging.slug]),
    ]
    before = [text_of(get(world.cast.auditor, page)) for page in pages]
    Lane.objects.filter(pk=lane.pk).update(executor="github", address={"server": "acme"})

    after = [text_of(get(world.cast.auditor, page)) for page in pages]

    assert ["Drift is not observed" in page for page in [*before, *after]] == [False, False, True, True]
    assert "Whether 1 of them drift is not observed" in after[0]
    [row] = csv.DictReader(io.StringIO(text_of(post(world.cast.auditor, reverse("compliance:population-export"), {}))))
    assert (row["executor"], row["observed"]) == ("github", "no")
    named = EndpointCheck(workspace_id=lane.workspace_id, lane=lane, name="Front door", seen_version="1.0.0")
    named.created_at = named.next_check_at = timezone.now()
    named.save()
    assert "is not observed" not in "".join(text_of(get(world.cast.auditor, page)) for page in pages)


@pytest.mark.parametrize("name", ["overview", "review-list", "access", "population"])
def test_pages_take_the_same_number_of_queries_however_much_there_is(world: World, name: str) -> None:
    address = reverse(f"compliance:{name}")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert get(world.cast.auditor, address).status_code == 200
        return len(queries)

    with world.everything():
        review(world, "One")
        move(world.lane(world.dev), world.release)
    few = cost()
    with world.everything():
        for number in range(5):
            review(world, f"More {number}")
            make_person(f"more-{number}", f"More {number}", ("DEVOPS", "AUDITOR"), world.cast.platform)
        for place in (world.qa, world.staging, world.production):
            move(world.lane(place), world.release)

    assert cost() == few


def review(world: World, title: str) -> Review:
    return Review.objects.create(
        workspace=world.cast.platform, kind="OTHER", title=title, asks="Look.", interval_months=1,
        owner=world.cast.devops, next_due_date=timezone.now().date() + timedelta(days=3), set_at=timezone.now(),
        set_by=world.cast.devops,
    )  # fmt: skip
