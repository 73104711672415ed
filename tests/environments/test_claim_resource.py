import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest
from django.db import ProgrammingError, connection, transaction

from apps.audit import actions as audit
from apps.core.verdict import Conflict, Denied
from apps.environments import actions
from apps.environments.local_ports import free_ports
from apps.environments.models import Environment, Lane, Resource
from apps.workspaces.scope import workspace_scope
from tests.cast import NOW
from tests.world import HOSTILE, World, last_event, make_environment

STORE = "postgresql://db.example.com/orders"


def claim(environment, by, uri=STORE, kind="DATA_STORE"):
    return actions.claim_resource(environment, kind=kind, uri=uri, by=by, now=NOW)


def test_an_environment_has_a_resource_to_itself(world: World, devops):
    resource = claim(world.dev, devops, "POSTGRES://admin:secret@DB.example.com:5432/orders/?sslmode=require")

    assert (resource.normalised, resource.uri) == (STORE, "POSTGRES://DB.example.com:5432/orders/")
    assert (resource.workspace_id, resource.claimed_by) == (world.cast.platform.pk, devops)
    event = last_event("resource.claimed")
    assert (event.actor_id, event.environment_id) == (str(devops.pk), world.dev.pk)
    assert "secret" not in bytes(event.canonical).decode()


def test_a_taken_resource_names_its_owner_to_those_who_may_see_it(world: World, devops):
    claim(world.dev, devops)

    with pytest.raises(actions.ResourceTaken, match="belongs to the environment Dev"):
        claim(world.qa, devops, "postgres://DB.EXAMPLE.COM/orders/")
    assert Resource.objects.filter(normalised=STORE).get().environment == world.dev


def test_a_taken_resource_names_nobody_to_strangers(world: World, devops, cast):
    claim(world.dev, devops)
    theirs = make_environment(cast.elsewhere, "Theirs", "DEV")

    with pytest.raises(actions.ResourceTaken) as refusal:
        claim(theirs, cast.outsider)

    assert str(refusal.value) == f"{STORE} is taken."


def test_the_same_environment_claims_once(world: World, devops):
    claim(world.dev, devops)

    with pytest.raises(actions.ResourceTaken):
        claim(world.dev, devops)


def test_a_resource_given_back_is_free(world: World, devops):
    actions.release_resource(claim(world.dev, devops), by=devops, now=NOW)

    assert claim(world.qa, devops).environment == world.qa
    assert last_event("resource.released").target_label == STORE


def test_a_resource_is_given_back_once(world: World, devops):
    resource = actions.release_resource(claim(world.dev, devops), by=devops, now=NOW)

    with pytest.raises(actions.ResourceReleased):
        actions.release_resource(resource, by=devops, now=NOW)


@pytest.mark.parametrize(
    "role", ["release_engineer", "engineering_manager", "security", "auditor", "customer_operator", "outsider"]
)
def test_only_who_manages_environments_may_claim(world: World, role):
    with pytest.raises(Denied):
        claim(world.dev, getattr(world.cast, role))
    assert not Resource.objects.filter(normalised=STORE).exists()


@pytest.mark.parametrize(
    ("uri", "kind"), [("orders", "DATA_STORE"), (STORE, "CAR"), *((text, "DATA_STORE") for text in HOSTILE)]
)
def test_what_names_no_resource_is_refused(world: World, devops, uri, kind):
    with pytest.raises(actions.ResourceInvalid):
        claim(world.dev, devops, uri, kind)


def test_who_guesses_too_often_has_to_wait(world: World, devops):
    claim(world.dev, devops)
    for _ in range(20):
        audit.record(
            "access.refused", by=devops, target=None, summary="", outcome="REFUSED", after={"code": "resource_taken"}
        )

    with pytest.raises(actions.TooManyClaims):
        claim(world.qa, devops, "redis://cache.example/1")


def test_the_application_cannot_claim_past_the_function(world: World, devops):
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        Resource.objects.create(
            workspace=world.cast.platform,
            environment=world.dev,
            kind="DATA_STORE",
            uri=STORE,
            normalised=STORE,
            claimed_at=NOW,
        )


def test_the_function_claims_for_no_environment_out_of_scope(world: World):
    question = "SELECT claim_resource(%s, 'DATA_STORE', %s, %s, NULL, %s)"

    with (
        workspace_scope([world.cast.elsewhere.pk]),
        connection.cursor() as cursor,
        pytest.raises(ProgrammingError, match="not in scope"),
        transaction.atomic(),
    ):
        cursor.execute(question, [world.dev.pk, STORE, STORE, NOW])


def test_a_destroyed_environment_claims_nothing(world: World, release_engineer):
    local = make_environment(world.cast.platform, "Local", "LOCAL")
    actions.destroy_environment(local, by=release_engineer, now=NOW + timedelta(hours=1))

    with pytest.raises(actions.EnvironmentGone):
        claim(local, world.cast.devops)


PLACES = {
    "port": {"executor": "local"},
    "namespace": {"executor": "helm", "address": {"cluster": "staging", "namespace": "shop"}},
    "application": {"executor": "argocd", "address": {"server": "prod", "application": "shop"}},
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "place", ["port", *(pytest.param(place, marks=pytest.mark.reliability) for place in ("namespace", "application"))]
)
def test_of_20_lanes_prepared_at_once_on_one_target_one_gets_it_and_19_name_the_owner(world: World, settings, place):
    """R5: no two lanes are ever one target, so their attempts can't meet there."""
    settings.EXECUTORS = dict.fromkeys(("local", "helm", "argocd"), "tests.deployments.file_target.executor")
    settings.KUBECONFIGS = {"staging": Path("/etc/eaip/staging.yaml")}
    settings.CONNECTIONS = {"argocd": {"prod": Path("/etc/eaip/prod.json")}}
    port = next(islice(free_ports(settings.TARGET_DIR), 40, None))  # the world's own lanes have the first ones
    wanted = PLACES[place] | ({"port": port} if place == "port" else {})
    with world.everything():
        environments = [make_environment(world.cast.platform, f"Region {n}", "DEV") for n in range(20)]
    barrier = threading.Barrier(20)

    def prepare(environment):
        barrier.wait()
        try:
            with world.everything():
                return actions.create_lane(environment, service=world.service, by=world.cast.devops, now=NOW, **wanted)
        except Conflict as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(prepare, environments))

    (lane,) = (answer for answer in answers if isinstance(answer, Lane))
    refusals = [answer for answer in answers if isinstance(answer, actions.PortTaken | actions.ResourceTaken)]
    assert len(refusals) == 19
    assert all(f"belongs to the environment {lane.environment.name}." in str(refusal) for refusal in refusals)
    with world.everything():
        assert list(Lane.objects.filter(environment__in=environments)) == [lane]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_claim_at_once_one_gets_it(world: World):
    with world.everything():
        environments = [world.dev.pk, world.qa.pk, world.staging.pk, world.production.pk]

    def attempt(pk):
        try:
            with world.everything():
                claim(Environment.objects.get(pk=pk), world.cast.devops)
        except actions.ResourceTaken:
            return "taken"
        else:
            return "claimed"
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        results = sorted(threads.map(attempt, environments))

    assert results == ["claimed", "taken", "taken", "taken"]
    with world.everything():
        assert Resource.objects.filter(normalised=STORE).count() == 1
