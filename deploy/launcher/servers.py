"""Which database and which Redis: the ones that DATABASE_URL and REDIS_URL name, else the embedded ones."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from deploy.launcher import ports
from deploy.launcher.console import Refused, Step, say
from deploy.launcher.engines import Postgres, Valkey
from deploy.launcher.keeper import DidNotStart, Keeper

DATABASE, OWNER, APPLICATION, SEALER = "eaip", "eaip_owner", "eaip_app", "eaip_sealer"
Engine = TypeVar("Engine")
TRIES = 3  # a port that was free may be taken a moment later


@dataclass(frozen=True)
class Database:
    """`admin` is empty where roles and database are made by somebody else; `sealer` where the role is not known."""

    application: str
    owner: str
    admin: str = ""
    sealer: str = ""
    embedded: bool = False

    def environment(self) -> dict[str, str]:
        found = {"DATABASE_URL": self.application, "DATABASE_OWNER_URL": self.owner}
        more = {"DATABASE_ADMIN_URL": self.admin, "DATABASE_SEALER_URL": self.sealer}
        return found | {name: url for name, url in more.items() if url}


def database(keeper: Keeper, data: Path, secrets: dict[str, str]) -> Database:
    if os.environ.get("DATABASE_URL"):
        return _named(os.environ["DATABASE_URL"], secrets)

    def attempt(step: Step) -> Postgres:
        engine = Postgres(data / "postgres", port=ports.free_ports(1)[0], password=secrets["database_admin"])
        engine.prepare()
        keeper.wait_ready(keeper.start(engine.program()), engine.is_ready, step=step)
        return engine

    with Step("Starting the database", "Database started (PostgreSQL)") as step:
        server = _with_other_port(attempt, step)
    return replace(_derived(server.url(database=DATABASE), secrets, admin=server.url()), embedded=True)


def remark(url: str) -> str:
    """Return what `write_remark` left with the database, "" where there is neither."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
            ).fetchone()
    except psycopg.OperationalError:
        return ""
    return str(row[0] or "") if row else ""


def write_remark(url: str, text: str) -> None:
    """Leave a text with the database itself, so that it goes where the data goes."""
    with psycopg.connect(url) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(text)))


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
    say(f"  ok Database: the server that DATABASE_URL names ({urlsplit(url).hostname or 'local socket'})")
    owner, sealer = os.environ.get("DATABASE_OWNER_URL", ""), os.environ.get("DATABASE_SEALER_URL", "")
    if given := os.environ.get("DATABASE_ADMIN_URL"):
        derived = _derived(url, secrets, admin=given)
        return Database(url, owner or derived.owner, given, sealer or derived.sealer)
    if admin := _as_administrator(url):
        return _derived(url, secrets, admin=admin)
    if not owner:
        raise Refused(
            "The role of DATABASE_URL may not make roles, and DATABASE_OWNER_URL, which migrations need, is not set. "
            "docs/runbooks/running.md says which roles there are."
        )
    if not sealer:
        say("  !! Audit trail: DATABASE_SEALER_URL is not set, so nothing is sealed (docs/runbooks/audit-keys.md)")
    return Database(url, owner, sealer=sealer)


def _as_administrator(url: str) -> str:
    """Return where the role of `url` may make roles and databases, "" if it may not.

    The portal's own database needn't be there yet, so that of the server's administrator is tried as well.
    """
    refusal = ""
    for place in (urlunsplit(urlsplit(url)._replace(path="/postgres")), url):
        try:
            with psycopg.connect(place, connect_timeout=5) as connection:
                row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
                return place if row and row[0] else ""
        except psycopg.OperationalError as error:
            refusal = str(error).strip()
    raise Refused(f"The server that DATABASE_URL names can't be used: {refusal}")


def _derived(url: str, secrets: dict[str, str], *, admin: str) -> Database:
    return Database(
        application=_as_role(url, APPLICATION, secrets["database_app"]),
        owner=_as_role(url, OWNER, secrets["database_owner"]),
        admin=admin,
        sealer=_as_role(url, SEALER, secrets["database_sealer"]),
    )


def _as_role(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password)}@{place}"))
