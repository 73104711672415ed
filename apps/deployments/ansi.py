"""Terminal colours of a log line as classes of portal.css; everything else that a terminal would obey is taken away.

A line starts without colour, as each is shown alone and by any range. Source: ECMA-48 (SGR, CSI, OSC, C1).
"""

import colorsys
import re
from collections.abc import Iterator, Sequence

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

# Order matters: strings that end with ST or BEL first (unfinished ones swallow the rest of the line), then CSI, then
# the two-byte sequences. 0x80-0x9f are the one-byte forms of the same.
_SEQUENCE = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|\x1b|$)"
    r"|(?:\x1b\[|\x9b)(?P<sgr>[0-9;:]*)m"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)"
    r"|\x1b[ -/]*(?:[0-~]|$)"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)
COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_LOST = re.compile(r"[\x00\ud800-\udfff]")  # what the database can't hold
# Marks that turn the direction of text, so that a line reads differently from what it is (CVE-2021-42574).
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")

_COLOURS = {1: "a-r", 2: "a-g", 3: "a-y", 4: "a-b", 5: "a-m", 6: "a-c"}
_HUES = (1, 3, 2, 6, 4, 5)
_CUBE = (0, 95, 135, 175, 215, 255)
_BOLD, _DIM = "a-B", "a-d"


def to_html(line: str) -> SafeString:
    """This function will draw one line of output, safe to put into a page.

    Shapes: of a line that was rewritten with carriage returns, as progress bars do, the last state is shown.
    """
    return mark_safe("".join(_pieces(_settled(line))))  # noqa: S308 every piece is escaped below


def storable(lines: Sequence[str]) -> list[str]:
    """This function will return lines with nothing but their colours left of what a terminal would obey."""
    if not _CONTROL.search("".join(lines)):
        return list(lines)
    return [_SEQUENCE.sub(_colour, _LOST.sub("\ufffd", line)) if _CONTROL.search(line) else line for line in lines]


def read(text: str) -> str:
    """This function will return the text as it is compared with secrets: without colours and ends of lines."""
    return COLOUR.sub("", storable([text])[0])


def _colour(found: re.Match[str]) -> str:
    codes = found["sgr"]
    # Numbers that no terminal knows are no colours.
    return "" if codes is None or re.search("[0-9]{4}", codes) else f"\x1b[{codes}m"


def text_of(lines: Sequence[str]) -> str:
    """This function will return lines as one text without colours; searching it is quicker than line by line."""
    text = COLOUR.sub("", "\n".join(lines))
    return text if text.replace("\n", "").isprintable() else COLOUR.sub("", "\n".join(storable(lines)))


def plain(line: str) -> str:
    """This function will return the line as a reader without colours sees it."""
    if line.isprintable():
        return line
    return "".join(text for text, _ in _spans(_settled(line)))


def _settled(line: str) -> str:
    line = _TURNS.sub("\ufffd", line.rstrip("\r\n"))
    return line[line.rfind("\r") + 1 :]


def _pieces(line: str) -> Iterator[str]:
    for text, classes in _spans(line):
        yield format_html('<span class="{}">{}</span>', classes, text) if classes else escape(text)


def _spans(line: str) -> Iterator[tuple[str, str]]:
    style: dict[str, str] = {}
    end = 0
    for found in _SEQUENCE.finditer(line):
        if found.start() > end:
            yield line[end : found.start()], " ".join(style.values())
        end = found.end()
        if (codes := found["sgr"]) is not None:
            _apply(style, codes)
    if end < len(line):
        yield line[end:], " ".join(style.values())


def _apply(style: dict[str, str], text: str) -> None:
    codes = iter(text.replace(":", ";").split(";"))
    for word in codes:
        code = int(word[:4] or 0)
        if code == 0:
            style.clear()
        elif code in (38, 48):
            colour = _extended(codes)
            if code == 38:
                _paint(style, colour)
        elif 30 <= code <= 39:
            _paint(style, code - 30)
        elif 90 <= code <= 97:
            _paint(style, code - 90 or 8)
        else:
            _weigh(style, code)


def _extended(codes: Iterator[str]) -> int:
    """Take the arguments of a colour from the palette of 256 or from a mixture; return the one that has a class."""
    kind = next(codes, "")
    wanted = [min(int(next(codes, "")[:4] or 0), 255) for _ in range({"5": 1, "2": 3}.get(kind, 0))]
    if kind == "2":
        return _nearest(*wanted)
    number = wanted[0] if wanted else 0
    if number >= 232:
        return _nearest(*[8 + 10 * (number - 232)] * 3)
    if number >= 16:
        return _nearest(*(_CUBE[(number - 16) // step % 6] for step in (36, 6, 1)))
    return number - 8 if number >= 9 else number


def _nearest(red: int, green: int, blue: int) -> int:
    """Return the colour of the same hue, whose shade both themes can show; what has no hue is grey or has none."""
    hue, _, _ = colorsys.rgb_to_hsv(red, green, blue)
    if max(red, green, blue) - min(red, green, blue) < 48:
        return 8 if 80 <= green < 176 else 0
    return _HUES[round(hue * 6) % 6]


def _paint(style: dict[str, str], colour: int) -> None:
    style.pop("colour", None)
    if colour == 8:  # bright black is the grey of terminals
        style["colour"] = _DIM
    elif colour in _COLOURS:
        style["colour"] = _COLOURS[colour]


def _weigh(style: dict[str, str], code: int) -> None:
    if code == 1:
        style["weight"] = _BOLD
    elif code == 2:
        style["dim"] = _DIM
    elif code == 22:
        style.pop("weight", None)
        style.pop("dim", None)
