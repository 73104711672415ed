"""How a view's answer reaches the browser: whole page or fragment, refusals, sign-in, policy headers, time zone."""

import json
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import RequestFactory
from django.urls import get_resolver
from django.utils import timezone
from django_htmx.middleware import HtmxDetails

from apps.core.forms import PortalFormRenderer
from apps.core.middleware import TimeZoneMiddleware, VerdictMiddleware
from apps.core.pages import render_page
from apps.core.verdict import Conflict, Denied, Invalid
from apps.core.views import SampleForm

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/releases/?q=1"}


class AlreadyDecided(Conflict):
    code = "already_decided"


def request_of(path="/things/", **headers):
    request = RequestFactory().get(path, headers=headers)
    request.user, request.htmx, request._messages = AnonymousUser(), HtmxDetails(request), []
    return request


@pytest.fixture(autouse=True)
def page_templates(settings, tmp_path):
    (tmp_path / "thing.html").write_text(
        "{% load partials %}<h1>whole</h1>{% partialdef box inline %}<p id=box>{{ word }}</p>{% endpartialdef %}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [*settings.TEMPLATES[0]["DIRS"], tmp_path]}]


def test_a_browser_gets_the_page_and_htmx_its_fragment():
    page = render_page(request_of(), "thing.html", {"word": "hello"}, part="box")
    fragment = render_page(request_of(**HTMX), "thing.html", {"word": "hello"}, part="box")

    assert b"<h1>whole</h1>" in page.content
    assert fragment.content == b"<p id=box>hello</p>"
    assert page["Vary"] == fragment["Vary"] == "HX-Request"


@pytest.mark.parametrize("header", ["HX-Boosted", "HX-History-Restore-Request"])
def test_a_boosted_link_and_a_step_back_get_the_page(header):
    response = render_page(request_of(**HTMX, **{header: "true"}), "thing.html", part="box")

    assert b"<h1>whole</h1>" in response.content


def test_an_invalid_form_answers_422():
    assert render_page(request_of(), "thing.html", {"form": SampleForm({})}).status_code == 422
    assert render_page(request_of(), "thing.html", {"form": SampleForm()}).status_code == 200


@pytest.mark.parametrize(
    ("exception", "status"),
    [
        (Denied("You asked for it."), 403),
        (AlreadyDecided("It is decided."), 409),
        (Invalid("No such version."), 422),
        (Http404(), 404),
        (PermissionDenied("Not you."), 403),
    ],
)
@pytest.mark.parametrize("form", ["page", "fragment", "problem"])
def test_refusals_become_answers(exception, status, form):
    request = request_of("/api/things/" if form == "problem" else "/things/", **(HTMX if form == "fragment" else {}))

    response = VerdictMiddleware(lambda _: None).process_exception(request, exception)

    assert response.status_code == status
    assert str(exception) in response.content.decode()
    if form == "fragment":
        assert response["HX-Retarget"] == "#refusal"
        assert b"<html" not in response.content
        assert b'href="/releases/?q=1"' in response.content
    elif form == "problem":
        assert response["Content-Type"] == "application/problem+json"
    else:
        assert b"<html" in response.content
        assert b"HX-Retarget" not in response.serialize_headers()


def test_a_defect_is_not_told_as_a_refusal():
    assert VerdictMiddleware(lambda _: None).process_exception(request_of(), ValueError("defect")) is None


def test_a_refusal_tells_hostile_text_as_text():
    hostile = Denied("<script>alert(1)</script>")

    assert b"<script>alert" not in VerdictMiddleware(lambda _: None).process_exception(request_of(), hostile).content


@pytest.mark.parametrize(
    ("profile", "cookie", "zone"),
    [
        ("Pacific/Apia", "Europe/Berlin", "Pacific/Apia"),
        ("", "Europe%2FBerlin", "Europe/Berlin"),
        ("", "../../etc/passwd", "UTC"),
        ("", "", "UTC"),
    ],
)
def test_the_zone_comes_from_the_profile_else_from_the_browser(profile, cookie, zone):
    request = request_of()
    request.user = SimpleNamespace(time_zone=profile)
    request.COOKIES["browser_zone"] = cookie

    assert TimeZoneMiddleware(lambda _: timezone.get_current_timezone_name())(request) == zone


def test_forms_draw_help_and_errors_where_assistive_technology_finds_them():
    html = SampleForm({"version": "", "environment": "moon"}, renderer=PortalFormRenderer()).as_div()

    assert 'aria-describedby="id_version_helptext id_version_error"' in html
    assert 'id="id_version_error"' in html
    assert 'id="id_version_helptext"' in html
    assert 'aria-invalid="true"' in html


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["/?q=a%00b", "/releases/greeter/1%00/", "/audit/?object=%00", "/api/v1/releases/greeter/1%00"]
)
def test_an_address_with_a_nul_names_nothing(client, cast, address):
    client.force_login(cast.auditor)

    response = client.get(address)

    assert response.status_code == 400
    assert ("application/problem+json" in response["Content-Type"]) == address.startswith("/api/")


@pytest.mark.django_db
def test_programs_are_told_in_their_form_of_what_is_not_there_and_of_a_fault(client):
    response = client.get("/api/v1/nothing")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "text/html" in client.get("/nothing")["Content-Type"]

    answer = get_resolver().resolve_error_handler(500)(request_of("/api/v1/releases"))
    assert (answer.status_code, json.loads(answer.content)["code"]) == (500, "broken")
    assert b"Something broke on our side" in get_resolver().resolve_error_handler(500)(request_of("/releases/")).content
