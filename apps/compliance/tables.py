"""What people take away as a table: CSV (RFC 4180) in which no cell is a formula, or JSON."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse

from apps.audit.export import FORMULA
from apps.core.pages import attachment


def safe_cell(value: object) -> str:
    """This function will write a value so that no spreadsheet runs it."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith("\0") or re.match(FORMULA, text) else text


def written(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """This function will write rows as CSV; what a row has beside the columns is left out."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([safe_cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue()


def download(name: str, form: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> HttpResponse:
    """This function will answer with a file of these rows. Shapes: `form` is csv or json."""
    if form == "json":
        body, kind = json.dumps(list(rows), cls=DjangoJSONEncoder, ensure_ascii=False, indent=1), "application/json"
    else:
        body, kind = written(columns, rows), "text/csv"
    return attachment(body, f"{kind}; charset=utf-8", f"{name}.{form}")
