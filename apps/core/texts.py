"""Text that people and programs send, before it is kept: no control character that could break a log or a query."""

import re

from apps.core.verdict import Invalid

# C0 and C1 controls, and lone surrogates; line breaks and tabs stay where a text may have several lines.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_CONTROLS_OF_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class TextInvalid(Invalid):
    code = "text_invalid"


def one_line(text: str, *, name: str, limit: int, required: bool = True) -> str:
    """This function will return the text without the space around it.

    Units: limit in characters.
    Raises TextInvalid: empty though required, too long, or with control characters (line breaks are some).
    """
    return _checked(text.strip(), name, limit, required, _CONTROLS)


def many_lines(text: str, *, name: str, limit: int, required: bool = False) -> str:
    """This function will return the text with plain line breaks and without the space around it; else as `one_line`."""
    return _checked(text.replace("\r\n", "\n").strip(), name, limit, required, _CONTROLS_OF_LINES)


def _checked(text: str, name: str, limit: int, required: bool, refused: re.Pattern[str]) -> str:
    if required and not text:
        raise TextInvalid(f"{name} is missing. Write at least a few words.")
    if len(text) > limit:
        raise TextInvalid(f"{name} has {len(text)} characters; it may have at most {limit}.")
    if found := refused.search(text):
        raise TextInvalid(f"{name} has a control character (U+{ord(found[0]):04X}) in it; remove it.")
    return text
