"""The row that the sweepers of all workers take turns on, by the database's clock."""

from datetime import timedelta
from uuid import UUID

from django.db import connection


def take(name: str, token: UUID, lasting: timedelta) -> bool:
    """This function will take the turn for so long, if nobody else has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO deployments_sweeplease AS held (name, until, token)
            VALUES (%(name)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(token)s)
            ON CONFLICT (name) DO UPDATE SET until = EXCLUDED.until, token = EXCLUDED.token
            WHERE held.until <= clock_timestamp()
            RETURNING true
            """,
            {"name": name, "seconds": lasting.total_seconds(), "token": token},
        )
        return cursor.fetchone() is not None


def give_back(name: str, token: UUID) -> None:
    """This function will end a turn early, so that whoever has room takes the next one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE deployments_sweeplease SET until = clock_timestamp() WHERE name = %s AND token = %s", [name, token]
        )
