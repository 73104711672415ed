import pytest

from apps.accounts import actions
from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import enter_scope


@pytest.fixture
def person(db):
    enter_scope([PLATFORM_WORKSPACE_ID], actor=None)
    return User.objects.create_user("manager", password="x" * 14, display_name="Engineering manager")


@pytest.fixture
def signed_in(client, person):
    client.force_login(person)
    return client


def test_the_theme_of_the_menu_leads_back_and_is_on_the_next_page(signed_in, person):
    done = signed_in.post("/account/theme/", {"theme": "DARK", "next": "/account/?x=1"})

    person.refresh_from_db()
    assert done["Location"] == "/account/?x=1"
    assert person.theme == "DARK"
    assert b'data-theme="dark"' in signed_in.get("/account/").content
    enter_scope([PLATFORM_WORKSPACE_ID], actor=None)
    event = AuditEvent.objects.get()
    assert (event.kind, event.change) == ("profile.changed", {"theme": {"before": "AUTO", "after": "DARK"}})


def test_a_forged_way_back_is_not_taken(signed_in):
    assert signed_in.post("/account/theme/", {"theme": "DARK", "next": "//evil.example"})["Location"] == "/"


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/account/theme/", {"theme": "PINK"}),
        ("/account/time-zone/", {"time_zone": "Mars/Olympus"}),
        ("/account/", {"theme": "PINK", "time_zone": "UTC"}),
        ("/account/", {"theme": "DARK", "time_zone": "Mars/Olympus"}),
    ],
)
def test_what_is_no_theme_and_no_zone_is_refused_and_changes_nothing(signed_in, person, path, data):
    response = signed_in.post(path, data)

    person.refresh_from_db()
    assert response.status_code == 422
    assert b"Nothing was saved" in response.content
    assert (person.theme, person.time_zone) == ("AUTO", "")
    enter_scope([PLATFORM_WORKSPACE_ID], actor=None)
    assert [event.kind for event in AuditEvent.objects.all()] == []


def test_the_zone_can_be_set_and_given_back_to_the_browser(signed_in, person):
    signed_in.post("/account/time-zone/", {"time_zone": "Asia/Tokyo"})
    person.refresh_from_db()
    assert person.time_zone == "Asia/Tokyo"
    assert b'data-zone="Asia/Tokyo" data-zone-from="profile"' in signed_in.get("/account/").content

    signed_in.post("/account/time-zone/", {"time_zone": "Asia/Tokyo", "clear": "1"})
    person.refresh_from_db()
    assert person.time_zone == ""


def test_all_preferences_are_saved_at_once(signed_in, person):
    assert b'data-shortcuts="on"' in signed_in.get("/account/").content

    done = signed_in.post("/account/", {"theme": "LIGHT", "time_zone": "America/Los_Angeles"}, follow=True)

    person.refresh_from_db()
    assert b"Your preferences are saved." in done.content
    assert b'data-shortcuts="off"' in done.content
    assert (person.theme, person.time_zone, person.single_key_shortcuts) == ("LIGHT", "America/Los_Angeles", False)


@pytest.mark.parametrize("path", ["/account/theme/", "/account/time-zone/"])
def test_the_menus_forms_take_posts_only(signed_in, path):
    assert signed_in.get(path).status_code == 405


def test_only_preferences_can_be_changed_this_way(person):
    with pytest.raises(ValueError, match="is_superuser"):
        actions.change_preferences(person, by=person, is_superuser=True)
