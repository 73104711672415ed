"""The database's clock, for leases and limits: `now()` stands still inside a transaction, workers' clocks differ."""

from datetime import timedelta

from django.db.models import DateTimeField, Expression, ExpressionWrapper, Func, Value

CLOCK = Func(function="clock_timestamp", output_field=DateTimeField())


def clock_in(length: timedelta) -> Expression:
    """Return the expression for the moment that lies so far ahead (or behind, if negative)."""
    return ExpressionWrapper(CLOCK + Value(length), output_field=DateTimeField())
