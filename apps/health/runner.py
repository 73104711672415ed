"""Asks the lanes that are due and writes down what they say; never waits longer than a check's own limit."""

import logging
import time
from functools import cache
from uuid import UUID

import httpx2
from django.db import connection

from apps.environments.enums import Health
from apps.health import checks
from apps.health.models import HealthCheck
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

# One for all checks: to make it, every certificate of the machine is read.
_trust = cache(httpx2.create_ssl_context)


def due(at_most: int) -> list[tuple[UUID, UUID]]:
    """Return (workspace, check) of the checks that are due now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id, id FROM due_checks(%s)", [at_most])
        return list(cursor.fetchall())


def sample(workspace_id: UUID, check_id: UUID) -> None:
    """This function will ask once, if the check is still due."""
    with workspace_scope([workspace_id]):
        check = checks.take(check_id)
    if check is None:
        return
    verdict, status, latency_ms, detail = ask(check)
    with workspace_scope([workspace_id]):
        checks.record(check, verdict=verdict, status=status, latency_ms=latency_ms, detail=detail)


def ask(check: HealthCheck) -> tuple[Health, int | None, float | None, str]:
    """Return verdict, status, milliseconds and a short text; outside of any transaction."""
    started = time.monotonic()
    try:
        with (
            httpx2.Client(
                timeout=check.timeout_seconds, follow_redirects=False, trust_env=False, verify=_trust(trust_env=False)
            ) as client,
            client.stream("GET", check.url, headers={"User-Agent": "EAIP-Operations-health"}) as answer,
        ):
            latency_ms = (time.monotonic() - started) * 1000
    except httpx2.HTTPError as error:
        return Health.FAULTY, None, None, f"No answer: {error or type(error).__name__}"
    # 200 stands for any good answer; a check that expects another status gets no other.
    good = answer.status_code == check.expected_status
    if check.expected_status == 200:
        good = 200 <= answer.status_code < 400
    detail = f"{answer.status_code} in {latency_ms:.0f} ms"
    return Health.HEALTHY if good else Health.FAULTY, answer.status_code, latency_ms, detail
