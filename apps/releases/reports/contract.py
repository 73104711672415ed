"""What a release offers to its callers: OpenAPI 3.0 and 3.1 (spec.openapis.org), in JSON or YAML."""

from typing import Any

from apps.releases.contracts import documents as contracts
from apps.releases.contracts.openapi import operations
from apps.releases.reports import Unreadable, documents


def read_openapi(report: bytes) -> dict[str, Any]:
    """This function will count the operations of an API description."""
    try:
        description = contracts.read(report)
    except contracts.Unreadable as error:
        raise Unreadable(str(error)) from error
    about = description.get("info")
    about = about if isinstance(about, dict) else {}
    return {
        "title": documents.short(str(about.get("title", ""))),
        "version": documents.short(str(about.get("version", "")), 40),
        "operations": operations(description),
    }
