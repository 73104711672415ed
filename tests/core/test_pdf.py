"""Documents are printed without a reach to anything else."""

import io
import socket
from pathlib import Path

import pytest
from pypdf import PdfReader

from apps.core import pdf


def test_a_document_reaches_neither_network_nor_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("<p>A secret</p>")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        page = pdf.printed(
            f'<link rel="stylesheet" href="{address}.css"><link rel="stylesheet" href="{secret.as_uri()}">'
            f'<style>@import url("{address}.css");body{{background:url("{secret.as_uri()}")}}</style>'
            f'<img src="{address}.png"><img src="{secret}"><img src="../../etc/hostname">'
            f'<iframe src="{secret.as_uri()}"></iframe><object data="{secret.as_uri()}"></object><p>All there is</p>'
        )
        with pytest.raises(TimeoutError):
            server.accept()

    assert "".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(page)).pages).strip() == "All there is"


def test_one_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(pdf.NotPrinted, match="not ready in time"):
        pdf.printed("<p>A", seconds=0.001)


def test_one_that_grows_without_end_ends_its_own_process_alone() -> None:
    with pytest.raises(pdf.NotPrinted, match="could not be made"):
        pdf.printed("<p>A</p>" * 3_000_000)
