"""Which database and which Redis: the ones that DATABASE_URL and REDIS_URL name, else the embedded ones."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from deploy.launcher import ports
from deploy.launcher.console import Refused, Step, say
from deploy.launcher.engines import Postgres, Valkey
from deploy.launcher.keeper import DidNotStart, Keeper

DATABASE, OWNER, APPLICATION = "eaip", "eaip_owner", "eaip_app"
Engine = TypeVar("Engine")
TRIES = 3  # a port that was free may be taken a moment later


@dataclass(frozen=True)
class Database:
    """`admin` is empty where roles and database are made by somebody else."""

    application: str
    owner: str
    admin: str = ""

    def environment(self) -> dict[str, str]:
        found = {"DATABASE_URL": self.application, "DATABASE_OWNER_URL": self.owner}
        return found | ({"DATABASE_ADMIN_URL": self.admin} if self.admin else {})


def database(keeper: Keeper, data: Path, secrets: dict[str, str]) -> Database:
    if os.environ.get("DATABASE_URL"):
        return _named(os.environ["DATABASE_URL"], secrets)

    def attempt(step: Step) -> Postgres:
        engine = Postgres(data / "postgres", port=ports.free_ports(1)[0], password=secrets["database_admin"])
        engine.prepare()
        keeper.wait_ready(keeper.start(engine.program()), engine.is_ready, step=step)
        return engine

    with Step("Starting the database", "Database started (PostgreSQL)") as step:
        admin = _with_other_port(attempt, step).url(database=DATABASE)
    return _derived(admin, secrets)


def broker(keeper: Keeper, data: Path, secrets: dict[str, str]) -> str:
    if os.environ.get("REDIS_URL"):
        say("  ok Redis: the server that REDIS_URL names")
        return os.environ["REDIS_URL"]

    def attempt(step: Step) -> Valkey:
        engine = Valkey(data / "valkey", port=ports.free_ports(1)[0], password=secrets["valkey"])
        engine.prepare()
        keeper.wait_ready(keeper.start(engine.program()), engine.is_ready, step=step)
        return engine

    with Step("Starting the message broker", "Message broker started (Valkey)") as step:
        return _with_other_port(attempt, step).url()


def _with_other_port(attempt: Callable[[Step], Engine], step: Step) -> Engine:
    for left in reversed(range(TRIES)):
        try:
            return attempt(step)
        except DidNotStart:
            if not left:
                raise
    raise AssertionError


def _named(url: str, secrets: dict[str, str]) -> Database:
    """Return the places of a real server; an administrator is used where one is named."""
    owner = os.environ.get("DATABASE_OWNER_URL", "")
    admin = os.environ.get("DATABASE_ADMIN_URL", "") or (url if _is_administrator(url) else "")
    say(f"  ok Database: the server that DATABASE_URL names ({urlsplit(url).hostname or 'local socket'})")
    if admin:
        derived = _derived(admin, secrets)
        return Database(url if url != admin else derived.application, owner or derived.owner, admin)
    if not owner:
        raise Refused(
            "The role of DATABASE_URL may not make roles, and DATABASE_OWNER_URL, which migrations need, is not set. "
            "docs/runbooks/running.md says which roles there are."
        )
    return Database(url, owner)


def _is_administrator(url: str) -> bool:
    """Ask the server. A database that isn't there yet is no obstacle: the administrator will make it."""
    for place in (url, _in_database(url, "postgres")):
        try:
            with psycopg.connect(place, connect_timeout=5) as connection:
                row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
                return bool(row and row[0])
        except psycopg.OperationalError as error:
            refusal = error
    raise Refused(f"The server that DATABASE_URL names can't be used: {str(refusal).strip()}")


def _derived(admin: str, secrets: dict[str, str]) -> Database:
    return Database(
        application=_as_role(admin, APPLICATION, secrets["database_app"]),
        owner=_as_role(admin, OWNER, secrets["database_owner"]),
        admin=admin,
    )


def _as_role(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password)}@{place}"))


def _in_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
