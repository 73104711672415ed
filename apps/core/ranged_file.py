"""A file that can be downloaded in parts, so that a download goes on where it broke off (RFC 9110, section 14)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

BLOCK_BYTES = 1 << 18
# One range of bytes; several at once, or another unit, are answered with the whole file, as the RFC allows.
_RANGE = re.compile(r"bytes=(?:(?P<first>\d{1,18})-(?P<last>\d{1,18})?|-(?P<suffix>\d{1,18}))", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """The bytes asked for, both ends included. `is_part`: not as a whole."""

    first: int
    last: int
    is_part: bool

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def span_of(request: HttpRequest, *, size: int, etag: str) -> Span | None:
    """This function will return which bytes of a file of this size are asked for; None: none that it has.

    Shapes: `etag` as the header has it. A range that was meant for another file is a question for the whole of this.
    """
    whole = Span(0, size - 1, is_part=False)
    asked = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if request.method != "GET" or asked is None or request.headers.get("If-Range", etag).strip() != etag:
        return whole
    if asked["suffix"] is not None:
        length = min(int(asked["suffix"]), size)
        return Span(size - length, size - 1, is_part=True) if length else None
    first, last = int(asked["first"]), int(asked["last"] or size - 1)
    if asked["last"] and last < first:
        return whole
    return Span(first, min(last, size - 1), is_part=True) if first < size else None


def answer(
    request: HttpRequest, path: Path, span: Span | None, *, size: int, etag: str, content_type: str
) -> HttpResponseBase:
    """This function will answer with these bytes of the file in blocks: 200, 206, or 416 where `span` is None."""
    if span is None:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    body = iter(()) if request.method == "HEAD" else _blocks(path, span)
    response = StreamingHttpResponse(body, status=206 if span.is_part else 200, content_type=content_type)
    response["Content-Length"] = str(span.length)
    if span.is_part:
        response["Content-Range"] = f"bytes {span.first}-{span.last}/{size}"
    response["Accept-Ranges"], response["ETag"], response["Cache-Control"] = "bytes", etag, "private, no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


def _blocks(path: Path, span: Span) -> Iterator[bytes]:
    left = span.length
    with path.open("rb") as file:
        file.seek(span.first)
        while left and (block := file.read(min(BLOCK_BYTES, left))):
            left -= len(block)
            yield block
