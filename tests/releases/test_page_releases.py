import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from apps.releases import actions
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from tests.cast import NOW
from tests.drill import HTMX, get, post, signed_in, text_of
from tests.world import HOSTILE, World, make_manifest

pytestmark = pytest.mark.django_db

LIST, NEW = reverse("releases:release-list"), reverse("releases:release-create")


def address(release: Release, name: str = "release-detail") -> str:
    return reverse(f"releases:{name}", args=[release.service.slug, release.version])


def filled(world: World, **changes: object) -> dict[str, object]:
    manifest = json.dumps(make_manifest(version="1.1.0"))
    return {"service": world.service.slug, "version": "1.1.0", "manifest": manifest, "seal": "on", **changes}


def test_the_list_shows_releases_and_where_they_run(world):
    page = text_of(get(world.cast.auditor, LIST))

    assert address(world.release) in page
    assert "nowhere" in page


def test_the_list_as_a_fragment_has_no_frame(world):
    page = text_of(get(world.cast.auditor, LIST, **HTMX))

    assert page.lstrip().startswith('<section class="card-p" id="releases"')


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("service=greeter", True),
        ("service=unknown", False),
        ("state=SEALED", True),
        ("state=RETIRED", False),
        ("kind=INITIAL", True),
        ("kind=MAJOR", False),
        ("q=1.0", True),
        ("q=9.9", False),
    ],
)
def test_the_list_is_narrowed_by_its_address(world, query, shown):
    page = text_of(get(world.cast.auditor, f"{LIST}?{query}"))

    assert (address(world.release) in page) is shown


def test_the_list_costs_the_same_for_one_release_and_many(world):
    client = signed_in(world.cast.auditor)
    client.get(LIST)
    with CaptureQueriesContext(connection) as one:
        client.get(LIST)
    with world.everything():
        for minor in range(1, 8):
            world.next_release(f"1.{minor}.0")
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)

    assert len(many) == len(one)


def test_a_customer_reads_published_releases_and_a_stranger_too(world):
    assert get(world.cast.outsider, address(world.release)).status_code == 200


def test_what_is_not_published_is_not_there_for_strangers(world):
    Release.objects.filter(pk=world.release.pk).update(is_published=False)

    assert get(world.cast.outsider, address(world.release)).status_code == 404
    assert get(world.cast.auditor, address(world.release)).status_code == 200


def test_a_release_is_created_and_sealed(world):
    response = post(world.cast.release_engineer, NEW, filled(world, notes="First\r\nSecond"))

    with world.everything():
        release = Release.objects.get(version="1.1.0")
    assert response.status_code == 302
    assert response["Location"] == address(release)
    assert (release.state, release.notes, release.source) == (ReleaseState.SEALED, "First\nSecond", "FORM")


def test_a_draft_stays_one_until_it_is_sealed(world):
    post(world.cast.release_engineer, NEW, {**filled(world), "seal": ""})
    with world.everything():
        draft = Release.objects.get(version="1.1.0")
    assert draft.state == ReleaseState.DRAFT

    assert post(world.cast.release_engineer, address(draft, "release-seal")).status_code == 302
    assert post(world.cast.release_engineer, address(draft, "release-seal")).status_code == 409


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("version", "v1", "begins with a letter"),
        ("version", "", "This field is required"),
        ("commit", "not-hex", "7 to 64 hexadecimal"),
        ("manifest", "{", "not JSON"),
        ("manifest", "[]", "manifest has exactly two fields"),
        ("manifest", json.dumps(make_manifest("other")), "the service runs"),
        ("digest", "sha256:" + "0" * 64, "The manifest has the digest sha256:"),
        ("service", "unknown", "Select a valid choice"),
        ("tag", "a\x07b", "control character"),
    ],
)
def test_bad_input_is_told_next_to_its_field_and_kept(world, field, value, sentence):
    response = post(world.cast.release_engineer, NEW, filled(world, notes="Kept as typed", **{field: value}))

    page = text_of(response)
    assert response.status_code == 422
    assert sentence in page
    assert f'id="id_{field}_error"' in page
    assert "Kept as typed" in page
    with world.everything():
        assert not Release.objects.filter(version="1.1.0").exists()


@pytest.mark.parametrize(
    ("version", "sentence"), [("1.0.0", "was released with the digest"), ("0.9.0", "is lower than 1.0.0")]
)
def test_a_version_that_can_not_be_is_a_conflict_beside_the_form(world, version, sentence):
    manifest = json.dumps(make_manifest(version=version, content="other"))
    response = post(world.cast.release_engineer, NEW, filled(world, version=version, manifest=manifest))

    assert response.status_code == 409
    assert sentence in text_of(response)
    assert 'id="id_version_error"' in text_of(response)


def test_a_double_click_creates_one_release(world):
    first = post(world.cast.release_engineer, NEW, filled(world))
    second = post(world.cast.release_engineer, NEW, filled(world))

    assert (first.status_code, second.status_code) == (302, 409)
    with world.everything():
        assert Release.objects.filter(version="1.1.0").count() == 1


def test_who_may_not_create_is_told_so(world):
    assert get(world.cast.devops, NEW).status_code == 403
    assert post(world.cast.devops, NEW, filled(world)).status_code == 403
    assert "Ask somebody who is Release engineer" in text_of(get(world.cast.devops, LIST))


def test_a_strangers_form_does_not_offer_the_platforms_services(world):
    response = post(world.cast.outsider, NEW, filled(world))

    assert response.status_code == 422
    assert "Select a valid choice" in text_of(response)


def test_quarantine_and_its_end(world):
    url = address(world.release, "release-quarantine")
    assert get(world.cast.devops, url).status_code == 200

    assert post(world.cast.devops, url, {"reason": ""}).status_code == 422
    assert post(world.cast.devops, url, {"reason": "It loses data"}).status_code == 302
    assert post(world.cast.devops, url, {"reason": "Again"}).status_code == 409

    page = text_of(get(world.cast.auditor, address(world.release)))
    assert "In quarantine since" in page
    assert "It loses data" in page
    lift = address(world.release, "quarantine-lift")
    assert "It loses data" in text_of(get(world.cast.devops, lift))
    assert post(world.cast.devops, lift, {"reason": "A false alarm"}).status_code == 302
    with world.everything():
        assert Release.objects.get(pk=world.release.pk).state == ReleaseState.SEALED


def test_a_release_is_retired_once(world):
    url = address(world.release, "release-retire")

    assert get(world.cast.release_engineer, url).status_code == 200
    assert post(world.cast.release_engineer, url).status_code == 302
    assert post(world.cast.release_engineer, url).status_code == 409


@pytest.mark.parametrize("name", ["release-quarantine", "quarantine-lift", "release-retire", "release-seal"])
def test_changes_are_for_those_who_may(world, name):
    url = address(world.release, name)

    assert post(world.cast.auditor, url, {"reason": "Because"}).status_code == 403
    assert post(world.cast.outsider, url, {"reason": "Because"}).status_code == 403
    Release.objects.filter(pk=world.release.pk).update(is_published=False)
    assert post(world.cast.outsider, url, {"reason": "Because"}).status_code == 404


@pytest.mark.parametrize("name", ["release-detail"])
def test_pages_to_read_take_no_post(world, name):
    assert post(world.cast.release_engineer, address(world.release, name)).status_code == 405
    assert post(world.cast.release_engineer, LIST).status_code == 405


def test_sealing_takes_no_get(world):
    assert get(world.cast.release_engineer, address(world.release, "release-seal")).status_code == 405


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(world, text):
    release = world.next_release("1.1.0", notes=text, notes_source=text)
    actions.quarantine_release(release, reason=text, by=world.cast.devops, now=NOW)

    page = text_of(get(world.cast.auditor, address(release)))

    assert escape(text) in page
    assert "<script>alert" not in page
    assert "<script>alert" not in text_of(signed_in(world.cast.auditor).get(LIST, {"q": text}))


def test_the_page_offers_the_next_environment_and_says_why_not_the_others(world):
    page = text_of(get(world.cast.release_engineer, address(world.release)))

    assert "Promote to Dev" in page
    assert "Promote to Production" not in page


def test_the_page_says_why_nothing_can_be_promoted(world):
    actions.quarantine_release(world.release, reason="Bad", by=world.cast.devops, now=NOW)

    page = text_of(get(world.cast.release_engineer, address(world.release)))

    assert "only a sealed release can be promoted" in page


def test_who_may_not_ask_is_told_who_may(world):
    page = text_of(get(world.cast.auditor, address(world.release)))

    assert "Promote to Dev" not in page
    assert "do not let you ask for a promotion" in page


def test_the_page_costs_the_same_with_much_history(world):
    client = signed_in(world.cast.auditor)
    client.get(address(world.release))
    with CaptureQueriesContext(connection) as little:
        client.get(address(world.release))
    with world.everything():
        for number in range(6):
            actions.quarantine_release(world.release, reason=f"Try {number}", by=world.cast.devops, now=NOW)
            actions.lift_quarantine(world.release, reason=f"Done {number}", by=world.cast.devops, now=NOW)
    with CaptureQueriesContext(connection) as much:
        page = text_of(client.get(address(world.release)))

    assert "Try 5" in page
    assert len(much) == len(little)
