"""Secrets of an attempt, taken out of its output before any of it is stored.

Text is compared as it is read: colours and the ends of lines count for nothing, so a secret is found in one line or cut
over several. Nothing is held back for it. What ends a batch and may begin a secret is masked at once from its fourth
character on; if the rest follows in a later batch, it is masked too.

Limits: base64 shares its first and last character with the neighbours of a secret; these are left, with less than a
byte of it. Text that another writer puts between the two parts of a cut secret parts them for us as well.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from urllib.parse import quote, quote_plus

from apps.deployments import ansi

MASK = "••••••"

_SHORTEST = 4  # what is shorter stands in every text
_SHORTEST_LINE = 6  # of a secret of several lines

# What encoders leave as it is: of values, of paths, JavaScript's encodeURIComponent and encodeURI.
_UNQUOTED = ("", "/", "!*'()", "!#$&'()*+,/:;=?@")
_PERCENT = re.compile("%[0-9A-F]{2}")
_ESCAPED = re.compile(r"\\u[0-9a-f]{4}")
_URL_SAFE = str.maketrans("+/", "-_")

Span = tuple[int, int]


class Masker:
    """Masks one stream of lines; what it remembers of the text before is no longer than the longest secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {ansi.read(form) for secret in secrets for form in forms_of(secret)}
        self._needles = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)
        self._memory = max(map(len, self._needles), default=1) - 1
        self._before = ""
        self.mask = _mask_beside(self._needles)

    def masked(self, lines: Sequence[str]) -> list[str]:
        """This function will return the next lines of the stream, fit to be stored: only colours are left in them."""
        kept = ansi.storable(lines)
        if not self._needles:
            return kept
        read = [ansi.read(line) if "\x1b" in line else line for line in kept]
        start, text = len(self._before), "".join([self._before, *read])
        spans = list(_merged(chain(self._found(text, start), self._begun(text))))
        self._before = text[max(0, len(text) - self._memory) :]
        return self._covered(kept, read, spans, start) if spans else kept

    def _found(self, text: str, start: int) -> Iterator[Span]:
        """Yield where secrets stand that end in the new part, overlapping ones too."""
        for needle in self._needles:
            at = text.find(needle, max(0, start - len(needle) + 1))
            while at >= 0:
                yield at, at + len(needle)
                at = text.find(needle, at + 1)

    def _begun(self, text: str) -> Iterator[Span]:
        """Yield the ends of the text that begin a secret."""
        for needle in self._needles:
            at = text.find(needle[:_SHORTEST], max(0, len(text) - len(needle) + 1))
            while at >= 0:
                if needle.startswith(text[at:]):
                    yield at, len(text)
                    break
                at = text.find(needle[:_SHORTEST], at + 1)

    def _covered(self, kept: Sequence[str], read: Sequence[str], spans: Sequence[Span], start: int) -> list[str]:
        lines, at, first = [], start, 0
        for line, text in zip(kept, read, strict=True):
            end = at + len(text)
            while first < len(spans) and spans[first][1] <= at:
                first += 1
            inside = first < len(spans) and spans[first][0] < end
            lines.append("".join(self._pieces(line, spans[first:], at)) if inside else line)
            at = end
        return lines

    def _pieces(self, line: str, spans: Sequence[Span], at: int) -> Iterator[str]:
        """Yield the line with one mask for each span; colours stay, those inside a secret after its mask."""
        seen: Span | None = None
        for piece in ansi.COLOUR.split(line):
            if piece.startswith("\x1b"):
                yield piece
                continue
            first, end = at, at + len(piece)
            for span in spans:
                if span[0] >= end:
                    break
                if span[1] <= at:
                    continue
                yield piece[at - first : max(0, span[0] - first)]
                if span is not seen:
                    yield self.mask
                seen, at = span, min(span[1], end)
            yield piece[at - first :]
            at = end


def forms_of(secret: str) -> Iterator[str]:
    """This function will yield every form that a secret may stand in: as it is, and as encoders write it.

    Each line of a secret with several is a secret of its own, since output is often indented or begins with a time.
    """
    values = {secret, secret.strip(), secret.replace("\r\n", "\n"), secret.replace("\r\n", "\n").strip()}
    lines = {line.strip() for line in secret.splitlines()}
    values |= {line for line in lines if len(line) >= _SHORTEST_LINE}
    for value in values:
        if len(value.strip()) >= _SHORTEST:
            yield value
            yield from _in_json(value)
            yield from _in_address(value)
            yield from _in_base64(value.encode("utf-8", "replace"))


def _in_json(value: str) -> Iterator[str]:
    for is_ascii in (True, False):
        text = json.dumps(value, ensure_ascii=is_ascii)[1:-1]
        for form in (text, _ESCAPED.sub(lambda found: rf"\u{found[0][2:].upper()}", text)):
            yield form
            yield form.replace("/", r"\/")


def _in_address(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "replace")
    for form in (*(quote(raw, safe=safe) for safe in _UNQUOTED), quote_plus(raw)):
        yield form
        yield _PERCENT.sub(lambda found: found[0].lower(), form)


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield the characters that depend on the secret alone, for each place it may have in a group of three bytes."""
    for before in range(3):
        first, last = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
        text = base64.b64encode(bytes(before) + raw).decode()[first:last]
        yield text
        yield text.translate(_URL_SAFE)
        yield quote(text, safe="")


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    ordered = sorted(spans)
    if not ordered:
        return
    start, end = ordered[0]
    for next_start, next_end in ordered[1:]:
        if next_start > end:
            yield start, end
            start, end = next_start, next_end
        end = max(end, next_end)
    yield start, end


def _mask_beside(needles: Sequence[str]) -> str:
    """Choose a sign that no secret has in it, so that a mask never completes one."""
    used = set().union(*needles)
    sign = next(sign for sign in chain(MASK, map(chr, range(0x2580, 0xD800))) if sign not in used)
    return sign * len(MASK)
