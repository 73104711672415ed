"""Prometheus' instant queries: one number, or the reason why there is none (prometheus.io, HTTP API, /api/v1/query)."""

import json
import math
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

PATIENCE_SECONDS = 5.0
BODY_LIMIT = 1 << 20
WORDS = 200


class PrometheusProblem(Exception):
    """There is no answer, or none that can be used; nothing is known."""


class NoAnswer(PrometheusProblem):
    """Nobody answered in time, or not as Prometheus does."""


class BadQuery(PrometheusProblem):
    """Prometheus doesn't take the query, or it gives something else than one number: somebody has to mend it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`value` is None where there is no data; `why` says so."""

    value: float | None
    why: str = ""


def ask(url: str, query: str) -> Reading:
    """This function will ask for one number as of now. Raises NoAnswer, BadQuery.

    Shapes: no series, "not a number", an infinite number, and what came with a warning (a part of the data is missing
    then) are all no data.
    """
    answer = _answer(url, query)
    if answer.get("warnings"):
        return Reading(None, f"incomplete: {'; '.join(map(str, answer['warnings']))}"[:WORDS])
    try:
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind not in ("vector", "scalar"):
            raise BadQuery(f"The query gives a {kind}, not one number.")
        if kind == "vector" and len(result) > 1:
            raise BadQuery(f"The query gives {len(result)} series, not one number: add sum(...) around it.")
        if not result:
            return Reading(None, "no series")
        value = float((result[0]["value"] if kind == "vector" else result)[1])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise NoAnswer(f"{place(url)} does not answer as Prometheus does.") from error
    return Reading(value) if math.isfinite(value) else Reading(None, "not a number")


def quoted(text: str) -> str:
    """This function will return a text as it may stand between the double quotes of a label's value."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def place(url: str) -> str:
    """This function will return the address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _answer(url: str, query: str) -> dict[str, Any]:
    try:
        with (
            httpx2.Client(timeout=PATIENCE_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", f"{url.rstrip('/')}/api/v1/query", data=_form(query)) as answer,
        ):
            status, body = answer.status_code, _read(answer)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise NoAnswer(f"No answer from {place(url)}: {error or type(error).__name__}"[:WORDS]) from error
    try:
        content = json.loads(body)
    except ValueError as error:
        raise NoAnswer(f"{place(url)} answered {status}, and not in JSON.") from error
    if not isinstance(content, dict):
        raise NoAnswer(f"{place(url)} does not answer as Prometheus does.")
    if status in (400, 422):
        raise BadQuery(f"{place(url)} refuses the query: {content.get('error', 'no reason given')}"[:WORDS])
    if status != 200 or content.get("status") != "success":
        raise NoAnswer(f"{place(url)} answered {status}: {content.get('error', 'no reason given')}"[:WORDS])
    return content


def _form(query: str) -> dict[str, str]:
    # Prometheus gives up before we do, and says so.
    return {"query": query, "timeout": f"{PATIENCE_SECONDS * 0.8:.0f}s"}


def _read(answer: httpx2.Response) -> bytes:
    body, until = b"", time.monotonic() + PATIENCE_SECONDS
    for part in answer.iter_bytes():
        body += part
        if len(body) > BODY_LIMIT:
            raise OSError("the answer is too large")
        if time.monotonic() > until:
            raise OSError("the answer does not end")
    return body
