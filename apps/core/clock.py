"""The database's clock, which alone decides what is due, open, late or over (ADR 0051).

`now()` stands still inside a transaction, and workers' clocks differ.
"""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import DateTimeField, Expression, ExpressionWrapper, Func, Value

CLOCK = Func(function="clock_timestamp", output_field=DateTimeField())


def clock_in(length: timedelta) -> Expression:
    """Return the expression for the moment that lies so far ahead (or behind, if negative)."""
    return ExpressionWrapper(CLOCK + Value(length), output_field=DateTimeField())


def now() -> datetime:
    """Ask the database what time it is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment
