from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM, Actor
from apps.audit.models import AuditEvent
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.deployments.executors import manifest as executor_manifest
from apps.environments.models import Lane
from apps.releases import actions, manifests
from apps.releases.enums import ReleaseKind, ReleaseState
from apps.releases.models import Artifact, Release, Service
from apps.releases.transitions import ALLOWED, KINDS, StaleRelease
from apps.workspaces.scope import workspace_scope
from tests.cast import NOW
from tests.world import HOSTILE, World, last_event, make_manifest, make_service

LATER = NOW + timedelta(hours=1)
WHEEL = make_manifest()["wheels"][0]


def create(world: World, version="1.1.0", **fields):
    values = {
        "manifest": make_manifest(version=version),
        "source": "FORM",
        "by": world.cast.release_engineer,
        "now": NOW,
    }
    return actions.create_release(world.service, version=version, **(values | fields))


def test_a_release_is_a_draft_until_it_is_sealed(world: World, release_engineer):
    release = create(world, notes="Greets by name.\r\nIn one language.", commit="a" * 40, tag="v1.1.0")

    assert (release.state, release.kind, release.content_hash) == (ReleaseState.DRAFT, ReleaseKind.MINOR, "")
    assert release.notes == "Greets by name.\nIn one language."
    assert last_event("release.created").target["service"] == "greeter"
    sealed = actions.seal_release(release, by=release_engineer, now=LATER)
    assert (sealed.state, sealed.sealed_at) == (ReleaseState.SEALED, LATER)
    assert sealed.content_hash == actions.content_hash_of(sealed)
    assert last_event("release.sealed").change["content_hash"]["after"] == sealed.content_hash


def test_the_content_hash_closes_what_it_says(world: World):
    hashes = {
        actions.content_hash_of(release)
        for release in (
            create(world),
            create(world, "1.2.0"),
            create(world, "1.3.0", manifest=make_manifest(version="1.2.0")),
            create(world, "1.4.0", manifest=make_manifest(version="1.2.0"), notes="x"),
            create(world, "1.5.0", manifest=make_manifest(version="1.2.0"), commit="abcdef1"),
        )
    }

    assert len(hashes) == 5


def test_the_digest_is_the_one_that_the_executor_checks():
    manifest = make_manifest()
    manifest["wheels"].append(
        {**WHEEL, "name": "a", "filename": "a-1-py3-none-any.whl", "marker": "x", "source": "build"}
    )

    assert manifests.digest_of(manifest) == executor_manifest.digest_of(manifest["wheels"])


@pytest.mark.parametrize(
    "values", [{"version": "9.9.9"}, {"artifact_digest": "x"}, {"notes": "x"}, {"commit": "x"}, {"author_label": "x"}]
)
def test_the_database_refuses_to_change_what_is_sealed(world: World, values):
    with pytest.raises(IntegrityError), transaction.atomic():
        Release.objects.filter(pk=world.release.pk).update(**values)
    with pytest.raises(IntegrityError), transaction.atomic():
        Release.objects.filter(pk=world.release.pk).delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        Artifact.objects.filter(release=world.release).update(manifest={})


def test_a_release_is_sealed_once(world: World, release_engineer):
    with pytest.raises(StaleRelease):
        actions.seal_release(world.release, by=release_engineer, now=LATER)


def test_the_same_version_with_another_digest_names_both(world: World):
    other = make_manifest(content="other")

    with pytest.raises(actions.VersionTaken) as refusal:
        create(world, "1.0.0", manifest=other)

    assert world.release.artifact_digest in str(refusal.value)
    assert manifests.digest_of(other) in str(refusal.value)
    assert Release.objects.count() == 1


@pytest.mark.parametrize("version", ["1.0.0", "1.0.0+again"])
def test_the_same_version_is_not_released_again(world: World, version):
    with pytest.raises(actions.VersionExists):
        create(world, version, manifest=make_manifest())


@pytest.mark.parametrize(("version", "refusal"), [("0.9.0", actions.VersionLower), ("1.0", actions.VersionInvalid)])
def test_a_version_that_does_not_fit_is_refused(world: World, version, refusal):
    with pytest.raises(refusal):
        create(world, version)
    assert Release.objects.count() == 1


def test_the_kind_that_was_said_must_be_the_one_it_is(world: World):
    with pytest.raises(actions.ReleaseInvalid, match="a minor release"):
        create(world, kind="PATCH")
    assert create(world, kind="MINOR").kind == "MINOR"


def test_the_highest_lower_release_decides_the_kind(world: World):
    assert create(world, "2.0.0").kind == ReleaseKind.MAJOR
    assert create(world, "1.0.1").kind == ReleaseKind.PATCH


@pytest.mark.parametrize(
    "manifest",
    [
        None, [], {}, {"program": "greeter"}, {"program": "other", "wheels": [WHEEL]},
        {"program": "greeter", "wheels": []}, {"program": "greeter", "wheels": ["x"]},
        {"program": "greeter", "wheels": [WHEEL, WHEEL]}, {"program": "greeter", "wheels": [WHEEL], "more": 1},
        *(
            {"program": "greeter", "wheels": [WHEEL | wrong]}
            for wrong in (
                {"sha256": "x"}, {"size": 0}, {"size": True}, {"size": "1"}, {"filename": "../x.whl"}, {"name": "<b>"},
                {"more": 1}, {"source": "ftp"}, {"name": "other", "filename": "other-1-py3-none-any.whl"},
            )
        ),
    ],
)  # fmt: skip
def test_a_malformed_manifest_is_refused(world: World, manifest):
    with pytest.raises(actions.ReleaseInvalid):
        create(world, manifest=manifest)


@pytest.mark.parametrize("fields", [{"commit": "main"}, {"commit": "A" * 40}, {"source": "RUMOUR"}])
def test_a_malformed_release_is_refused(world: World, fields):
    with pytest.raises(actions.ReleaseInvalid):
        create(world, **fields)


@pytest.mark.parametrize(
    "fields", [{"notes": "a\x00"}, {"notes": "x" * 100_001}, {"tag": "a\nb"}, {"author_label": "x" * 151}]
)
def test_texts_have_bounds(world: World, fields):
    with pytest.raises(TextInvalid):
        create(world, **fields)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_kept_as_they_are(world: World, text):
    assert create(world, notes=text, author_label=text).notes == text


@pytest.mark.parametrize("role", ["engineering_manager", "devops", "auditor", "customer_operator", "outsider"])
def test_only_release_engineers_release(world: World, role):
    with pytest.raises(Denied):
        create(world, by=getattr(world.cast, role))
    assert Release.objects.count() == 1


def test_a_token_that_is_not_there_releases_nothing(world: World):
    with pytest.raises(Denied):
        create(world, by=Actor("TOKEN", str(world.service.pk), "Pipeline"))


def test_a_quarantine_takes_a_release_out_of_use_and_can_be_lifted(world: World, security, release_engineer):
    release = actions.quarantine_release(world.release, reason="CVE-2026-1", by=security, now=LATER)

    assert (release.state, release.quarantined_by_label) == (ReleaseState.QUARANTINED, "Security")
    assert not Release.objects.deployable().exists()
    assert last_event("release.quarantined").reason == "CVE-2026-1"
    with pytest.raises(StaleRelease):
        actions.quarantine_release(release, reason="again", by=security, now=LATER)
    with pytest.raises(Denied):
        actions.lift_quarantine(release, reason="x", by=release_engineer, now=LATER)
    lifted = actions.lift_quarantine(release, reason="Not affected", by=security, now=LATER)
    assert (lifted.state, lifted.quarantine_reason) == (ReleaseState.SEALED, "")
    assert last_event("release.released").change["reason"]["before"] == "CVE-2026-1"


def test_the_engine_quarantines_by_itself(world: World):
    actions.quarantine_release(world.release, reason="Failed its checks", by=SYSTEM, now=LATER)

    assert last_event("release.quarantined").actor_type == "SYSTEM"


def test_a_draft_has_no_quarantine(world: World, security):
    with pytest.raises(StaleRelease):
        actions.quarantine_release(create(world), reason="x", by=security, now=LATER)


def test_what_runs_is_not_retired(world: World, release_engineer):
    lane = Lane.objects.filter(pk=world.lane(world.production).pk)
    lane.update(live_release=world.release, live_since=NOW)
    with pytest.raises(actions.ReleaseRuns, match="Production"):
        actions.retire_release(world.release, by=release_engineer, now=LATER)
    lane.update(live_release=None, live_since=None)

    retired = actions.retire_release(world.release, by=release_engineer, now=LATER)

    assert (retired.state, retired.retired_by) == (ReleaseState.RETIRED, release_engineer)
    with pytest.raises(StaleRelease):
        actions.retire_release(retired, by=release_engineer, now=LATER)


def test_every_state_has_its_way_and_every_way_its_event():
    assert set(ALLOWED) == set(ReleaseState)
    assert ALLOWED[ReleaseState.RETIRED] == frozenset()
    assert set(KINDS) == {(state, to) for state, ways in ALLOWED.items() for to in ways}


@pytest.mark.parametrize(
    "fields", [{"slug": "with space"}, {"plane": "ASTRAL"}, {"health_path": "health"}, {"health_path": "//example.com"}]
)
def test_a_malformed_service_is_refused(world: World, fields):
    with pytest.raises(actions.ServiceInvalid):
        make_service(world.cast.platform, **({"slug": "other"} | fields))


def test_a_short_name_is_taken_once_over_all_workspaces(world: World, cast):
    with pytest.raises(actions.ServiceExists):
        make_service(cast.elsewhere, "greeter")
    assert last_event("service.registered").target_id == str(world.service.pk)


def test_a_broken_ledger_takes_the_release_back(world: World, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("the ledger is broken")

    monkeypatch.setattr(audit, "record", broken)
    with pytest.raises(RuntimeError), transaction.atomic():
        create(world)
    assert Release.objects.count() == 1
    assert Artifact.objects.count() == 1


def test_another_workspace_reads_what_is_published_and_nothing_else(world: World):
    make_service(world.cast.platform, "inner", is_published=False)

    with workspace_scope([world.cast.elsewhere.pk]):
        assert [service.slug for service in Service.objects.all()] == ["greeter"]
        assert Release.objects.filter(pk=world.release.pk).update(tag="x") == 0


@pytest.mark.django_db(transaction=True)
def test_of_two_who_release_one_version_at_once_one_does(world: World):
    def attempt(number):
        try:
            with world.everything():
                create(world, manifest=make_manifest(version="1.1.0", content=str(number % 2)))
        except (actions.VersionTaken, actions.VersionExists) as refusal:
            return refusal.code
        else:
            return "created"
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        results = sorted(threads.map(attempt, range(6)))

    assert results.count("created") == 1
    assert set(results) == {"created", "version_taken", "version_exists"}
    with world.everything():
        assert Release.objects.filter(version="1.1.0").count() == 1
        assert AuditEvent.objects.filter(kind="release.created", summary__contains="1.1.0").count() == 1
