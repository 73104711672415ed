"""How long is waited before what failed is tried again. Pure."""

from datetime import timedelta


def pause_after(tries: int, *, first: timedelta, longest: timedelta) -> timedelta:
    """This function will double the pause with each try that failed, from the `first` to the `longest`."""
    return min(first * 2 ** min(tries - 1, 16), longest)
