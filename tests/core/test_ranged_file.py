"""Which bytes of a file are asked for, and what is answered (RFC 9110, section 14)."""

from pathlib import Path

import pytest
from django.test import RequestFactory

from apps.core import ranged_file

DATA = bytes(range(100))
ETAG = '"abc"'


@pytest.mark.parametrize(
    ("headers", "status", "part", "where"),
    [
        ({"Range": "bytes=0-9"}, 206, slice(0, 10), "bytes 0-9/100"),
        ({"Range": "bytes=10-"}, 206, slice(10, None), "bytes 10-99/100"),
        ({"Range": "bytes=-5"}, 206, slice(-5, None), "bytes 95-99/100"),
        ({"Range": "bytes=-500"}, 206, slice(0, None), "bytes 0-99/100"),
        ({"Range": "bytes=5-99999999"}, 206, slice(5, None), "bytes 5-99/100"),
        ({"Range": "bytes=100-"}, 416, slice(0, 0), "bytes */100"),
        ({"Range": "bytes=-0"}, 416, slice(0, 0), "bytes */100"),
        ({"Range": "bytes=9-5"}, 200, slice(None), None),
        ({"Range": "bytes=0-1,4-5"}, 200, slice(None), None),
        ({"Range": "lines=0-1"}, 200, slice(None), None),
        ({"Range": "bytes=0-9", "If-Range": ETAG}, 206, slice(0, 10), None),
        ({"Range": "bytes=0-9", "If-Range": '"another"'}, 200, slice(None), None),
        ({}, 200, slice(None), None),
    ],
)
def test_the_bytes_that_are_asked_for(
    rf: RequestFactory, tmp_path: Path, headers: dict[str, str], status: int, part: slice, where: str | None
) -> None:
    (tmp_path / "file").write_bytes(DATA)
    request = rf.get("/", headers=headers)

    span = ranged_file.span_of(request, size=len(DATA), etag=ETAG)
    answer = ranged_file.answer(request, tmp_path / "file", span, size=len(DATA), etag=ETAG, content_type="text/plain")

    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert (answer.status_code, body, answer["Accept-Ranges"]) == (status, DATA[part], "bytes")
    if status != 416:
        assert (answer["ETag"], int(answer["Content-Length"])) == (ETAG, len(body))
    if where:
        assert answer["Content-Range"] == where


def test_a_head_says_all_but_the_bytes(rf: RequestFactory, tmp_path: Path) -> None:
    request = rf.head("/", headers={"Range": "bytes=0-9"})

    span = ranged_file.span_of(request, size=100, etag=ETAG)
    answer = ranged_file.answer(request, tmp_path, span, size=100, etag=ETAG, content_type="text/plain")

    assert (answer.status_code, answer["Content-Length"], b"".join(answer.streaming_content)) == (200, "100", b"")
