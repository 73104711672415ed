"""The pages of incidents, and where else they are offered and shown."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.environments.models import Lane
from apps.incidents import actions
from apps.incidents.models import Incident
from tests.cast import NOW
from tests.deployments.conftest import Stage, judge, stage  # noqa: F401  fixtures
from tests.drill import HTMX, get, post, text_of
from tests.incidents.test_incidents import TITLE, declare
from tests.world import HOSTILE, World

LIST = "/incidents/"
NEW = "/incidents/new/"
POSTS = {
    "notes/": {"text": "Seen in the logs"},
    "severity/": {"severity": "SEV1"},
    "resolution/": {"resolution": "Rolled back"},
}


def page_of(incident: Incident) -> str:
    return reverse("incidents:incident-detail", args=[incident.number])


def test_an_incident_is_declared_where_it_is_seen(world: World) -> None:
    place = f"{NEW}?workspace={world.cast.platform.pk}&environment={world.production.pk}&service={world.service.pk}"
    form = get(world.cast.devops, place)
    assert form.context["form"]["environment"].value() == world.production.pk
    assert f'value="{world.service.pk}" selected' in text_of(form)
    sent = {"title": TITLE, "severity": "SEV1", "environment": world.production.pk, "service": world.service.pk}
    assert post(world.cast.auditor, NEW, sent).status_code == get(world.cast.auditor, NEW).status_code == 403
    assert post(world.cast.devops, NEW, {**sent, "title": ""}).status_code == 422
    assert post(world.cast.devops, NEW, {**sent, "environment": world.customer_production.pk}).status_code == 422
    assert get(world.cast.devops, f"{NEW}?environment=x&service='&deployment=-1").status_code == 200
    assert get(world.cast.devops, f"{NEW}?environment=%00").status_code == 400
    assert get(world.cast.devops, f"{NEW}?deployment=999999999999999999999").status_code == 404

    made = post(world.cast.devops, NEW, sent)

    with world.everything():
        incident = Incident.objects.get()
    assert made["Location"] == page_of(incident)
    assert TITLE in text_of(get(world.cast.auditor, page_of(incident)))
    assert get(world.cast.outsider, page_of(incident)).status_code == 404
    environment = reverse("environments:environment-detail", args=[world.cast.platform.slug, world.production.slug])
    assert page_of(incident) in text_of(get(world.cast.auditor, environment))
    assert NEW in text_of(get(world.cast.devops, environment))
    assert NEW not in text_of(get(world.cast.auditor, environment))


@pytest.mark.parametrize("path", list(POSTS))
def test_posts_work_for_their_role_only(world: World, path: str) -> None:
    with world.everything():
        incident = declare(world)
    address = page_of(incident) + path

    assert post(world.cast.outsider, address, POSTS[path]).status_code == 404
    assert post(world.cast.auditor, address, POSTS[path]).status_code == 403
    assert get(world.cast.devops, address).status_code == 405
    assert post(world.cast.devops, address, {}).status_code == 422
    assert post(world.cast.devops, address, POSTS[path])["Location"] == page_of(incident)
    if path != "resolution/":
        with world.everything():
            actions.resolve(incident, resolution="Over", by=world.cast.devops, now=NOW)
    again = post(world.cast.devops, address, POSTS[path])
    assert again.status_code == (302 if path == "notes/" else 409)


def test_list_and_timeline_are_paged_by_key_in_the_same_number_of_queries(world: World, client: Client) -> None:
    client.force_login(world.cast.devops)
    with world.everything():
        incident = declare(world, title="Incident 000")
    little = [_queries(client, address) for address in (LIST, page_of(incident))]
    with world.everything():
        for number in range(1, 60):
            made = declare(world, title=f"Incident {number:03}", now=timezone.now())
            actions.add_note(incident, text=f"Note {number:03}", by=world.cast.devops, now=timezone.now())
        actions.resolve(made, resolution="Over", by=world.cast.devops, now=NOW)

    assert [_queries(client, address) for address in (LIST, page_of(incident))] == little
    found = client.get(LIST)
    older = text_of(client.get(LIST, {"before": found.context["page"].older}, headers=HTMX))
    assert "Incident 000" in older
    assert "Incident 010" not in older
    assert "<html" not in older
    resolved = text_of(client.get(LIST, {"state": "RESOLVED"}))
    assert "Incident 059" in resolved
    assert "Incident 058" not in resolved
    notes = client.get(page_of(incident))
    assert "Note 059" in text_of(notes)
    assert "Note 001" in text_of(client.get(page_of(incident), {"before": notes.context["page"].older}))


def _queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


def test_hostile_words_are_shown_as_text(world: World) -> None:
    text = " ".join(HOSTILE)
    with world.everything():
        incident = declare(world, title=text, what=text)

    for address in (LIST, page_of(incident)):
        assert "<script>alert" not in text_of(get(world.cast.devops, address))


def test_drift_offers_one(world: World) -> None:
    with world.everything():
        Lane.objects.filter(pk=world.lane(world.staging).pk).update(drift="1.0.1 runs", drift_since=timezone.now())
    offered = f"environment={world.staging.pk}&amp;service={world.service.pk}"
    environment = reverse("environments:environment-detail", args=[world.cast.platform.slug, world.staging.slug])

    assert offered in text_of(get(world.cast.devops, environment))
    assert offered in text_of(get(world.cast.devops, "/"))


def test_a_deployment_that_was_undone_offers_one_and_is_linked_to_it(stage: Stage) -> None:  # noqa: F811
    stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"})
    bad = stage.deploy("1.1.0")
    person, address = stage.world.cast.devops, reverse("deployments:deployment-detail", args=[bad.number])
    offer = f"{NEW}?deployment={bad.number}"
    assert offer in text_of(get(person, address))
    assert offer not in text_of(get(stage.world.cast.auditor, address))
    form = get(person, offer).context["form"]
    sent: dict[str, Any] = {name: form[name].value() or "" for name in ("environment", "service", "deployment")}

    made = post(person, NEW, {**sent, "title": TITLE, "severity": "SEV2"})

    assert address in text_of(get(person, made["Location"]))
    assert made["Location"] in text_of(get(person, address))
    again = post(person, f"{made['Location']}deployments/", {"deployment": bad.number})
    assert again.status_code == 409
    assert post(person, f"{made['Location']}deployments/", {"deployment": "999999"}).status_code == 422
    assert post(stage.world.cast.outsider, f"{made['Location']}deployments/").status_code == 404
