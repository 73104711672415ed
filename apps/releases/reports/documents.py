"""XML and JSON that nobody vouches for: no entities, no document types, no depth that breaks the reader."""

import json
import re
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from apps.releases.reports import Unreadable

# Cobertura's own writers name its document type, and nothing in it is ever fetched or defined; so it may stand there.
_DOCTYPE = re.compile(rb"<!DOCTYPE\s[^\[>]{1,300}>")


def xml(report: bytes, *, root: tuple[str, ...]) -> Element:
    """This function will read XML whose outermost element is one of these. Raises Unreadable."""
    try:
        found = fromstring(_DOCTYPE.sub(b"", report, count=1), forbid_dtd=True)
    except DefusedXmlException as error:
        raise Unreadable(
            "Entities and document types of your own are not read: they could make it any size."
        ) from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise Unreadable(f"It is not XML: {error}.") from error
    if found.tag not in root:
        raise Unreadable(f"It begins with <{found.tag[:40]}>, expected <{'> or <'.join(root)}>.")
    return found


def json_object(report: bytes) -> dict[str, Any]:
    """This function will read an object of JSON. Raises Unreadable."""
    try:
        found = json.loads(report)
    except RecursionError as error:
        raise Unreadable("It is nested too deeply.") from error
    except ValueError as error:
        raise Unreadable(f"It is not JSON in UTF-8: {error}.") from error
    if not isinstance(found, dict):
        raise Unreadable("It is JSON, but not an object.")
    return found


def rows(of: dict[str, Any], name: str, *, place: str = "") -> list[dict[str, Any]]:
    """This function will return a list of objects; none where it is not there. Raises Unreadable: something else is."""
    found = of.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Unreadable(f"{place}{name}: expected a list of objects.")
    return found


def short(text: object, limit: int = 200) -> str:
    """This function will return what may be stored and shown of a name: one line without control characters."""
    return "".join(char if char.isprintable() else " " for char in str(text)[:limit]).strip()


def text(value: object) -> str:
    """This function will return a text, or a whole number as text; nothing for whatever else stands there."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def nested(of: dict[str, Any], *names: str) -> dict[str, Any]:
    """This function will follow objects within objects; an empty one where the way ends."""
    for name in names:
        inner = of.get(name)
        of = inner if isinstance(inner, dict) else {}
    return of
