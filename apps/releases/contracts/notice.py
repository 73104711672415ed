"""How long before its end something is announced to those who use it. Pure."""

from calendar import monthrange
from datetime import date

MONTHS = 6


def earliest_end(announced: date) -> date:
    """This function will return the first day on which what is announced to end on a day may end: six months later."""
    years, month = divmod(announced.month - 1 + MONTHS, 12)
    year, month = announced.year + years, month + 1
    return date(year, month, min(announced.day, monthrange(year, month)[1]))
