"""What is printed of a dossier: every letter, every line, the same bytes for the same facts."""

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pypdf import PdfReader

from apps.compliance.dossiers.copies import PRINTER, Made, copy_of, printed
from apps.compliance.dossiers.document import Column, Dossier, Entry, Fact, Row, Section, Show, plain
from apps.core import pdf

ENTRY = "0198d0aa-0000-7000-8000-000000000001"
MADE = Made("Auditor", datetime(2026, 11, 18, 19, 0, tzinfo=UTC), "https://portal.example")
COLUMNS = (Column("what", "What"), Column("said", "What is known of it", weight=12), Column("at", "When", Show.TIME))


def make_dossier(*, said: str = "Usual", rows: int = 1, lines: tuple[str, ...] = ()) -> Dossier:
    found = tuple(Row({"what": f"Row {number}", "said": said}, (ENTRY,), "bad") for number in range(rows))
    sections = (
        Section("identity", "What it is", "", (Fact("name", "Name", said, entries=(ENTRY,)),)),
        Section("table", "Table", "A table.", columns=COLUMNS, rows=found),
        Section("log", "Log", "All of it.", lines=lines),
    )
    entry = Entry(ENTRY, "w", "2026-11-18T19:00:00.000000Z", "release.sealed", "DevOps", "Sealed", 7)
    return Dossier(
        {"kind": "release", "service": "greeter", "version": "1.0.0"}, "Release Greeter 1.0.0", sections, (entry,)
    )


def make_copy(**said: Any) -> dict[str, Any]:
    return copy_of(make_dossier(**said), MADE, {"entries": {}, "openings": [], "keys": []})


def read(document: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(document))


def text_of(document: bytes) -> str:
    return "".join(page.extract_text() for page in read(document).pages)


def test_same_facts_make_the_same_bytes_and_others_do_not() -> None:
    first = printed(make_copy())

    assert first == printed(make_copy())
    assert first != printed(make_copy(said="Otherwise"))


def test_letters_of_the_world_are_printed_and_no_other_letter_vanishes() -> None:
    words = "Łukasz Prüfer, Привет, Ελλάδα, 田中さくら, 김철수, 张伟, ✓ → “x” a\u202eb \U0001f4a5"

    text = text_of(printed(make_copy(said=words)))

    for part in ("Łukasz Prüfer", "Привет", "Ελλάδα", "田中さくら", "김철수", "张伟", "✓ →", "a<U+202E>b", "<U+1F4A5>"):
        assert part in text


def test_long_tables_long_cells_and_long_logs_go_on_overleaf() -> None:
    lines = tuple(f"line {number} " + "x" * (number % 400) for number in range(600))

    book = read(printed(make_copy(said="word " * 3000, rows=2, lines=lines)))

    texts = [page.extract_text() for page in book.pages]
    assert sum(text.count("word") for text in texts) == 3000 * 3
    assert all(f"line {number} " in "\n".join(texts) or number == 0 for number in (1, 300, 599))
    assert all(text.count("What is known of it") == 1 for text in texts if "Row 1" in text)


def test_document_is_archival_and_leads_to_the_ledger() -> None:
    book = read(printed(make_copy()))

    metadata = book.trailer["/Root"]["/Metadata"].get_data().decode()  # type: ignore[index]
    assert "<pdfaid:part>3</pdfaid:part><pdfaid:conformance>U</pdfaid:conformance>" in metadata
    assert hashlib.sha256(book.attachments["facts.json"][0]).hexdigest() == make_dossier().digest
    assert json.loads(book.attachments["dossier.json"][0]) == make_copy()
    links = [note.get_object()["/A"]["/URI"] for page in book.pages for note in page.get("/Annots", [])]
    assert set(links) == {f"https://portal.example/audit/{ENTRY}/"}
    fonts = {
        font.get_object()["/BaseFont"]
        for page in book.pages
        for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
    }
    assert {name.split("+")[1][:5] for name in fonts} <= {"Inter", "JetBr", "DejaV"}


def test_facts_that_are_not_those_of_the_digest_are_not_printed() -> None:
    copy = make_copy()
    copy["facts"]["title"] = "Another title"

    with pytest.raises(pdf.NotPrinted):
        pdf.printed_by(PRINTER, json.dumps(copy).encode(), seconds=30)


def test_every_kind_of_value_is_plain_in_the_data() -> None:
    at = datetime(2026, 11, 18, 19, 0, 0, 5, tzinfo=UTC)
    given = [at, at.date(), timedelta(seconds=3700), 12.5, 3.0, UUID(ENTRY), {"a": (1, None)}, True, "x"]

    told = plain(given)

    assert told == [
        "2026-11-18T19:00:00.000005Z", "2026-11-18", "1 h 1 min", "12.5", "3", ENTRY, {"a": [1, None]}, True, "x",
    ]  # fmt: skip
