"""Lengths of time in words: "1 m 50 s", "3 h 42 m", "1 d 10 h"."""

from datetime import timedelta

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def in_words(length: timedelta | float, *, parts: int = 2) -> str:
    """This function will name a length of time by its largest units.

    Units: a number is seconds. Below ten seconds one decimal is kept, because steps are that short.
    """
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 0:
        return f"-{in_words(-seconds, parts=parts)}"
    if seconds < 10 and parts > 1:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    left = round(seconds)
    words: list[str] = []
    for name, size in _UNITS:
        count, left = divmod(left, size)
        if count or words or name == "s":
            words.append(f"{count} {name}")
        if len(words) == parts:
            break
    while len(words) > 1 and words[-1].startswith("0 "):
        words.pop()
    return " ".join(words)
