"""What every address of the pages must do, whoever writes it: strangers see nothing, and reading changes nothing."""

from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import User

HTMX = {"HX-Request": "true"}


def signed_in(person: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return client


def get(person: User, url: str, **headers: str) -> HttpResponse:
    return signed_in(person).get(url, headers=headers)


def post(person: User, url: str, data: dict[str, object] | None = None, **headers: str) -> HttpResponse:
    return signed_in(person).post(url, data or {}, headers=headers)


def text_of(response: HttpResponse) -> str:
    return response.content.decode()
