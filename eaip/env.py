"""Typed reads of environment variables that fail loudly, with a hint."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set. `make run` and `make test` set it (docs/runbooks/running.md).")
    return value


def flag(name: str, default: bool = False) -> bool:
    value = os.environ.get(name, "1" if default else "0").strip().lower()
    if value not in {"0", "1", "true", "false", "yes", "no", ""}:
        raise ImproperlyConfigured(f"{name}={value!r} is not a flag: use 1 or 0.")
    return value in {"1", "true", "yes"}


def number(name: str, default: float) -> float:
    value = os.environ.get(name, str(default))
    try:
        return float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r} is not a number.") from None


def seconds(name: str, default: float) -> timedelta:
    return timedelta(seconds=number(name, default))


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def one_of(name: str, choices: tuple[str, ...]) -> str:
    """Return one of the choices, the first if nothing is said."""
    value = os.environ.get(name) or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is none of {', '.join(choices)}.")
    return value


def pairs(name: str) -> dict[str, str]:
    """Return `word=value,word=value` as a mapping."""
    found = [word.partition("=") for word in words(name)]
    if wrong := [word for word, equals, value in found if not (word and equals and value)]:
        raise ImproperlyConfigured(f"{name}: {wrong[0]!r} is not name=value.")
    return {word: value for word, _equals, value in found}


def path(name: str, default: Path) -> Path:
    return Path(os.environ.get(name) or default)


def database(url: str, **options: object) -> dict[str, object]:
    """Return Django's connection settings for `postgresql://user:password@host:port/name?option=value`.

    `options` are those of psycopg that the address does not name.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options | dict(parse_qsl(parts.query)),
    }
