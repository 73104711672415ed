import pytest

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import enter_scope

PASSWORD = "a long enough password"


@pytest.fixture
def person(db):
    enter_scope([PLATFORM_WORKSPACE_ID], actor=None)
    return User.objects.create_user("manager", password=PASSWORD, display_name="Engineering manager")


def kinds():
    enter_scope([PLATFORM_WORKSPACE_ID], actor=None)
    return list(AuditEvent.objects.values_list("kind", flat=True))


def test_sign_in_leads_to_the_page_that_was_asked_for(client, person):
    asked = client.get("/account/")
    done = client.post("/sign-in/", {"username": "manager", "password": PASSWORD, "next": "/account/"})

    assert asked.status_code == 302
    assert asked["Location"] == "/sign-in/?next=/account/"
    assert done["Location"] == "/account/"
    assert kinds() == ["session.started"]


def test_a_wrong_password_is_told_without_saying_which_part_is_wrong(client, person):
    wrong = client.post("/sign-in/", {"username": "manager", "password": "guess"})
    stranger = client.post("/sign-in/", {"username": "nobody", "password": "guess"})

    assert wrong.status_code == stranger.status_code == 422
    sentence = b"This name and password do not belong together"
    assert sentence in wrong.content
    assert sentence in stranger.content
    assert kinds() == ["session.refused", "session.refused"]


def test_sign_in_does_not_lead_to_other_hosts(client, person):
    done = client.post("/sign-in/", {"username": "manager", "password": PASSWORD, "next": "https://evil.example/"})

    assert done["Location"].startswith("/")
    assert not done["Location"].startswith("//")


def test_sign_out_ends_the_session(client, person):
    client.force_login(person)

    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/").status_code == 302
    assert client.get("/account/").status_code == 302
    assert kinds() == ["session.ended"]


def test_htmx_is_led_to_sign_in_and_back_to_its_page(client, db):
    response = client.get(
        "/account/", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/releases/?q=1"}
    )

    assert response.status_code == 401
    assert response["HX-Redirect"] == "/sign-in/?next=/releases/%3Fq%3D1"


def test_demonstration_accounts_are_named_only_in_a_demonstration(client, person, settings):
    settings.DEMONSTRATION = False
    assert b"Engineering manager" not in client.get("/sign-in/").content

    settings.DEMONSTRATION = True
    assert b"Engineering manager" in client.get("/sign-in/").content


def test_every_answer_carries_the_policy(client, db):
    policy = client.get("/sign-in/")["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert client.get("/no-such-page/")["Content-Security-Policy"] == policy
