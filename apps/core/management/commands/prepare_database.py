"""Creates the roles and the database that the portal lives in; safe to run again."""

import os
from argparse import ArgumentParser
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from django.core.management.base import BaseCommand
from psycopg import sql

# Who may do what is decided by the database (docs/adr): the owner migrates, the application owns nothing,
# the gate owns the few functions that may look past row-level security and nobody signs in as it.
ROLES = {
    "eaip_owner": "LOGIN NOBYPASSRLS",
    "eaip_app": "LOGIN NOBYPASSRLS",
    "eaip_sealer": "LOGIN NOBYPASSRLS",
    "eaip_backup": "NOLOGIN BYPASSRLS",
    "eaip_gate": "NOLOGIN BYPASSRLS",
}


class Command(BaseCommand):
    help = "Creates roles and database on the server of DATABASE_ADMIN_URL for DATABASE_OWNER_URL and DATABASE_URL."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--template", default="template1", help="database to copy (default: %(default)s)")

    def handle(self, *, template: str, **options: Any) -> None:
        admin_url = os.environ["DATABASE_ADMIN_URL"]
        owner, app = (urlsplit(os.environ[name]) for name in ("DATABASE_OWNER_URL", "DATABASE_URL"))
        sealer = urlsplit(os.environ.get("DATABASE_SEALER_URL", ""))
        passwords = {"eaip_owner": owner.password, "eaip_app": app.password, "eaip_sealer": sealer.password}
        name = unquote(app.path.lstrip("/"))
        with psycopg.connect(admin_url, autocommit=True) as connection:
            self._create_roles(connection, passwords)
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER eaip_owner TEMPLATE {}").format(
                        sql.Identifier(name), sql.Identifier(template)
                    )
                )
        with psycopg.connect(admin_url, dbname=name, autocommit=True) as connection:
            self._grant(connection, name)

    def _create_roles(self, connection: psycopg.Connection, passwords: dict[str, str | None]) -> None:
        for role, attributes in ROLES.items():
            exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            statement = sql.SQL("{} ROLE {} WITH {}").format(
                sql.SQL("ALTER" if exists else "CREATE"), sql.Identifier(role), sql.SQL(attributes)
            )
            if password := passwords.get(role):
                statement += sql.SQL(" PASSWORD {}").format(sql.Literal(unquote(password)))
            connection.execute(statement)
        # To hand functions over to the gate, the owner must be able to act as it; the application can't.
        connection.execute("GRANT eaip_gate TO eaip_owner")

    def _grant(self, connection: psycopg.Connection, name: str) -> None:
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO eaip_app, eaip_owner, eaip_sealer, eaip_backup").format(
                sql.Identifier(name)
            )
        )
        connection.execute("GRANT USAGE, CREATE ON SCHEMA public TO eaip_owner, eaip_gate")
        connection.execute("GRANT USAGE ON SCHEMA public TO eaip_app, eaip_sealer, eaip_backup")
        rights = "ALTER DEFAULT PRIVILEGES FOR ROLE eaip_owner IN SCHEMA public GRANT"
        connection.execute(f"{rights} SELECT, INSERT, UPDATE, DELETE ON TABLES TO eaip_app")
        connection.execute(f"{rights} USAGE, SELECT ON SEQUENCES TO eaip_app")
        connection.execute(f"{rights} SELECT ON TABLES TO eaip_backup")
