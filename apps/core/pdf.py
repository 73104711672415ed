"""Prints HTML as PDF (ADR 0084): in a process of its own, which reaches no network and no file but our fonts and style.

Who lays out is a large program in C++: should a document make it crash, hang or grow, that process ends, no other.
"""

import subprocess
import sys
from pathlib import Path

from apps.core.verdict import Refusal

SECONDS = 30.0
PRINTER = Path(__file__).with_name("pdf_printer.py")


class NotPrinted(Refusal):
    """The document could not be laid out."""

    status = 503
    code = "not_printed"
    next_step = "Try again; the page itself says the same and can be printed from the browser."


def printed(html: str, *, seconds: float = SECONDS) -> bytes:
    """This function will lay out a document on A4.

    Shapes: it may name `document.css` as its stylesheet; whatever else it names is left out.
    Raises NotPrinted: it took longer than `seconds`, or more memory than the process may have.
    """
    return printed_by(PRINTER, html.encode(), seconds=seconds)


def printed_by(program: Path, given: bytes, *, seconds: float) -> bytes:
    """This function will let a program in a process of its own make the PDF: `given` in, the document out.

    Raises NotPrinted: it took longer than `seconds`, or it ended otherwise.
    """
    command = [sys.executable, "-I", str(program)]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotPrinted("The PDF was not ready in time.") from error
    if done.returncode or not done.stdout.startswith(b"%PDF-"):
        raise NotPrinted("The PDF could not be made.")
    return done.stdout
