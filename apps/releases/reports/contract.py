"""What a release offers to its callers: OpenAPI 3.0 and 3.1 (spec.openapis.org), in JSON or YAML."""

from typing import Any, NamedTuple

from apps.releases.contracts import documents as contracts
from apps.releases.contracts.openapi import operations, sunsets, versions
from apps.releases.reports import Unreadable, documents

# Versions and announced ends of one description.
MOST = 1000


class Promised(NamedTuple):
    """A version of the API, or an operation that is said to end; `sunset` is an ISO day, "" for none."""

    name: str
    is_version: bool
    sunset: str


def read_openapi(report: bytes) -> dict[str, Any]:
    """This function will count the operations of an API description, and name what it promises to stay until when."""
    try:
        description = contracts.read(report)
    except contracts.Unreadable as error:
        raise Unreadable(str(error)) from error
    about = description.get("info")
    about = about if isinstance(about, dict) else {}
    promised = {
        documents.short(name, 300): (is_version, day)
        for is_version, said in ((False, sunsets(description)), (True, versions(description)))
        for name, day in said.items()
    }
    if len(promised) > MOST:
        raise Unreadable(f"It announces more than {MOST:,} ends; say them of paths, or of the whole.")
    return {
        "title": documents.short(str(about.get("title", ""))),
        "version": documents.short(str(about.get("version", "")), 40),
        "operations": operations(description),
        "promised": [Promised(name, *said) for name, said in sorted(promised.items())],
    }
