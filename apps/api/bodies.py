"""Reading what a program sent: at most so many bytes, and fields of the types that were promised."""

import json
from typing import Any

from django.http import HttpRequest

from apps.api.problems import BODY_LIMIT, BodyTooLarge, BodyUnreadable, FieldInvalid, WrongMediaType
from apps.core.texts import TextInvalid

# How the types of JSON are called.
_NAMES = {str: "text", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}


def raw_body(request: HttpRequest, limit: int = BODY_LIMIT) -> bytes:
    """This function will read the body. Raises BodyTooLarge: over `limit` bytes, whatever its head promised."""
    try:
        promised = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        promised = 0
    body = b"" if promised > limit else request.read(limit + 1)
    if promised > limit or len(body) > limit:
        raise BodyTooLarge(f"The body is larger than {limit / 1_000_000:.0f} MB.")
    return body


def require_json(request: HttpRequest) -> None:
    """This function will refuse a body that does not call itself JSON (which a form of another site can't do)."""
    if request.content_type != "application/json":
        raise WrongMediaType("Send the body as application/json.")


def json_object(body: bytes) -> dict[str, Any]:
    """This function will read an object of JSON. Raises BodyUnreadable: it is something else."""
    try:
        read = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BodyUnreadable("The body is not JSON in UTF-8.") from error
    if not isinstance(read, dict):
        raise BodyUnreadable("The body is not a JSON object.")
    return read


def field(body: dict[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """This function will return a field; one without a default must be there.

    Raises FieldInvalid: it is missing, or of another type. Raises TextInvalid: no text of the database can hold it.
    """
    value = body.get(name, default)
    if value is None:
        raise FieldInvalid(f"The field {name} is missing.")
    if type(value) is not kind:
        raise FieldInvalid(f"The field {name} must be {_NAMES[kind]}.")
    if isinstance(value, str) and "\0" in value:
        raise TextInvalid(f"The field {name} has a control character (U+0000) in it; remove it.")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
