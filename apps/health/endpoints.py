"""Endpoint checks in the database: claimed in batches over all workspaces, written back in batches of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.core import live
from apps.core.clock import CLOCK
from apps.environments.enums import Health
from apps.health.checks import BAD_IN_A_ROW
from apps.health.models import EndpointCheck, EndpointSample

WRITE = """
UPDATE health_endpointcheck AS c
SET verdict = r.verdict, detail = r.detail, bad_in_a_row = r.bad_in_a_row, checked_at = clock_timestamp(),
    verdict_since = CASE WHEN c.verdict = r.verdict THEN c.verdict_since ELSE clock_timestamp() END,
    seen_version = CASE WHEN r.version = '' THEN c.seen_version ELSE r.version END,
    seen_at = CASE WHEN r.version = '' THEN c.seen_at ELSE clock_timestamp() END, tls = r.tls, leased_until = NULL
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::integer[], %s::text[], %s::text[])
    AS r (id, verdict, detail, bad_in_a_row, tls, version)
WHERE c.id = r.id
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one asking. `lease` names the asking; `latency_ms` is None when nothing answered.

    `version` is what a good answer says that it comes from, empty where it says nothing. `tls` is the lowest
    version that was taken, such as "1.2"; "" where none was spoken.
    """

    check_id: UUID
    lease: datetime
    verdict: Health
    status: int | None
    latency_ms: float | None
    detail: str
    version: str = ""
    tls: str = ""


@transaction.atomic
def claim(at_most: int) -> dict[UUID, dict[UUID, datetime]]:
    """This function will take checks that are due, no workspace more than its share and its quota.

    Shapes: leases by check, by workspace. A check that nobody writes back is due again after its interval.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT owner, checked, lease FROM claim_endpoints(%s, %s, %s, %s)",
            [at_most, settings.CHECKS_AT_ONCE, settings.CHECKS_PER_MINUTE, settings.CLOSE_WATCH_TIMES],
        )
        claimed: dict[UUID, dict[UUID, datetime]] = {}
        for owner, checked, lease in cursor.fetchall():
            claimed.setdefault(owner, {})[checked] = lease
    return claimed


@transaction.atomic
def write(findings: Sequence[Finding]) -> int:
    """This function will keep the samples of one workspace's checks and what they say of each; return how many.

    A finding whose lease is no longer the check's is dropped: the check was changed, removed, or asked again since.
    """
    found = {finding.check_id: finding for finding in findings}
    held = [
        check
        for check in EndpointCheck.objects.locked()
        .select_related("lane__service", "lane__environment")
        .filter(pk__in=found)
        .order_by("pk")
        if check.leased_until == found[check.pk].lease
    ]
    before = {check.pk: check.verdict for check in held}
    for check in held:
        _judge(check, found[check.pk])
    EndpointSample.objects.bulk_create(_sample(check, found[check.pk]) for check in held)
    _write_states(held, [found[check.pk].version for check in held])
    for check in held:
        if check.verdict != before[check.pk]:
            _record_change(check, before[check.pk])
    return len(held)


def _judge(check: EndpointCheck, finding: Finding) -> None:
    good = finding.verdict == Health.HEALTHY
    check.bad_in_a_row = 0 if good else check.bad_in_a_row + 1
    if good or check.bad_in_a_row >= BAD_IN_A_ROW:
        check.verdict = finding.verdict
    check.detail, check.tls = finding.detail[:200], finding.tls


def _sample(check: EndpointCheck, finding: Finding) -> EndpointSample:
    return EndpointSample(
        workspace_id=check.workspace_id,
        endpoint_id=check.pk,
        checked_at=CLOCK,
        verdict=finding.verdict,
        status=finding.status,
        latency_ms=finding.latency_ms,
        detail=finding.detail[:200],
    )


def _write_states(held: Sequence[EndpointCheck], versions: list[str]) -> None:
    names = ("pk", "verdict", "detail", "bad_in_a_row", "tls")
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [*([getattr(check, name) for check in held] for name in names), versions])


def _record_change(check: EndpointCheck, before: str) -> None:
    lane = check.lane
    audit.record(
        "check.health_changed",
        by=SYSTEM,
        target=check,
        summary=f"{check.name} of {lane.service} in {lane.environment} is "
        f"{Health(check.verdict).label.lower()}: {check.detail}",
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        before={"health": before},
        after={"health": check.verdict},
    )
    live.hint(check.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")
