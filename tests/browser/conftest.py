"""Real pages in a real browser: whatever the console says against a page fails its test."""

from collections.abc import Callable, Iterator
from importlib import import_module

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from playwright.sync_api import Browser, BrowserContext, Page

from apps.accounts.models import User
from tests.processes import WebServer

SignIn = Callable[[BrowserContext, User], None]


@pytest.fixture
def complaints() -> list[str]:
    """What the consoles of this test's pages said; a test that provokes an error takes it out again."""
    return []


@pytest.fixture
def open_page(browser: Browser, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    """Opens a page in a context of its own, as another person on another machine would."""
    contexts: list[BrowserContext] = []

    def opened(**options: object) -> Page:
        context = browser.new_context(**{"locale": "en-GB", "timezone_id": "Europe/Berlin", **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if _is_complaint(said.type, said.text) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _is_complaint(kind: str, text: str) -> bool:
    # The browser itself notes each answer of 4xx; the tests look at those where they matter.
    return kind in {"error", "warning"} and not text.startswith("Failed to load resource")


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


@pytest.fixture
def sign_in(portal: WebServer) -> SignIn:
    """Signs a person in without the form, which has tests of its own."""

    def signed_in(context: BrowserContext, user: User) -> None:
        session = import_module(settings.SESSION_ENGINE).SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": portal.url}])

    return signed_in
