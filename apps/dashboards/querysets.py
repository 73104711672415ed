"""One query for the whole matrix, or for the rows that a change touches: all that a cell shows comes with its lane.

It is SQL, since the same question through the ORM takes longer to write out than to answer, at every change.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from psycopg import Cursor

# The services come first, fenced off: with a dozen joins the planner would look for them last.
CELLS = """
WITH service AS MATERIALIZED (
    SELECT service.* FROM releases_service service
    WHERE service.retired_at IS NULL AND (service.workspace_id = ANY (%(workspaces)s::uuid[]) OR service.is_published)
        AND (%(plane)s::text = '' OR service.plane = %(plane)s::text)
        AND (%(pattern)s::text = '' OR service.name ILIKE %(pattern)s::text OR service.slug ILIKE %(pattern)s::text
             OR service.owner_team ILIKE %(pattern)s::text)
        {only}
)
SELECT service.slug, service.name, service.owner_team, service.plane, service.is_pinned,
    lane.id, environment.id, environment.name, environment.tier,
    live.version, lane.live_since, lane.health, lane.health_detail, lane.drift, back.version,
    CASE WHEN live.id IS NOT NULL THEN (
        SELECT count(*) FROM releases_release newer
        WHERE newer.service_id = service.id AND newer.state = 'SEALED'
            AND (newer.major, newer.minor, newer.patch, newer.precedence)
                > (live.major, live.minor, live.patch, live.precedence)
    ) END,
    attempt.number, attempt.kind, attempt.state, attempt.version, attempt.at, attempt.done, attempt.total,
    attempt.is_called_for,
    waiting.number, waiting.state, waiting.version, waiting.gates,
    hold.reason,
    EXISTS (SELECT FROM environments_freeze frozen
            WHERE frozen.lane_id = lane.id AND frozen.lifted_at IS NULL
                AND (frozen.ends_at IS NULL OR frozen.ends_at > %(now)s::timestamptz)),
    (SELECT string_agg(DISTINCT alert.name, ', ') FROM health_alert alert
     WHERE alert.lane_id = lane.id AND alert.ends_at IS NULL),
    COALESCE(lane.close_watch_until > %(now)s::timestamptz, false)
FROM service
LEFT JOIN (environments_lane lane JOIN environments_environment environment ON environment.id = lane.environment_id)
    ON lane.service_id = service.id AND lane.removed_at IS NULL AND environment.destroyed_at IS NULL
    AND lane.workspace_id = ANY (%(workspaces)s::uuid[]) AND (%(tier)s::text = '' OR environment.tier = %(tier)s::text)
LEFT JOIN releases_release live ON live.id = lane.live_release_id
LEFT JOIN releases_release back ON back.id = lane.rolled_back_from_id
LEFT JOIN environments_hold hold ON hold.lane_id = lane.id AND hold.lifted_at IS NULL
LEFT JOIN LATERAL (
    SELECT deployment.number, deployment.kind, deployment.state, release.version,
        COALESCE(deployment.ended_at, deployment.started_at, deployment.requested_at) AS at, steps.done, steps.total,
        COALESCE(deployment.state = 'UNKNOWN' AND deployment.alarmed_at >= deployment.unknown_since, false)
            AS is_called_for
    FROM deployments_deployment deployment
    JOIN releases_release release ON release.id = deployment.release_id
    LEFT JOIN LATERAL (
        SELECT count(DISTINCT step.seq) AS total,
            count(DISTINCT step.seq) FILTER (WHERE step.verdict = 'DONE') AS done
        FROM deployments_step step WHERE step.deployment_id = deployment.id
    ) steps ON deployment.ended_at IS NULL
    WHERE deployment.lane_id = lane.id ORDER BY deployment.number DESC LIMIT 1
) attempt ON true
LEFT JOIN LATERAL (
    SELECT promotion.number, promotion.state, release.version, promotion.gates
    FROM approvals_promotion promotion JOIN releases_release release ON release.id = promotion.release_id
    WHERE promotion.lane_id = lane.id AND promotion.state IN ('PENDING', 'READY')
    ORDER BY promotion.number DESC LIMIT 1
) waiting ON true
{order}
"""
OF_LANES = """AND service.id IN (
    SELECT service_id FROM environments_lane WHERE id = ANY (%(lanes)s::uuid[])
    UNION SELECT touched.service_id FROM environments_lane touched JOIN deployments_deployment deployment
        ON deployment.lane_id = touched.id WHERE deployment.id = ANY (%(deployments)s::uuid[])
    UNION SELECT touched.service_id FROM environments_lane touched JOIN approvals_promotion promotion
        ON promotion.lane_id = touched.id WHERE promotion.id = ANY (%(promotions)s::uuid[])
)"""
IN_ORDER = "ORDER BY service.slug, environment.position, environment.name"
OF_SERVICE = "AND service.slug = %(slug)s::text"


class Raw(NamedTuple):
    """A row of the query: a service, with one of its lanes or with none (then everything after is None)."""

    slug: str
    name: str
    owner_team: str
    plane: str
    is_pinned: bool
    lane_id: UUID | None
    environment_id: UUID
    environment: str
    tier: str
    version: str | None
    since: datetime | None
    health: str
    health_detail: str
    drift: str
    rolled_back_from: str | None
    newer: int | None
    attempt_number: int | None
    attempt_kind: str
    attempt_state: str
    attempt_version: str
    attempt_at: datetime | None
    done: int | None
    total: int | None
    is_called_for: bool
    waiting_number: int | None
    waiting_state: str
    waiting_version: str
    waiting_gates: list[dict[str, Any]] | None
    hold: str | None
    is_frozen: bool
    alerts: str | None
    is_watched: bool


@dataclass(frozen=True)
class Changed:
    """Ids of what changed: rows of their services are asked for."""

    lanes: tuple[UUID, ...] = ()
    deployments: tuple[UUID, ...] = ()
    promotions: tuple[UUID, ...] = ()


def cells(
    workspaces: Iterable[UUID],
    *,
    now: datetime,
    q: str = "",
    plane: str = "",
    tier: str = "",
    slug: str = "",
    changed: Changed | None = None,
) -> list[Raw]:
    """Return the services that match with their lanes in these workspaces; those of one service in promotion order."""
    pattern = "%" + q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" if q else ""
    values: dict[str, Any] = {
        "workspaces": list(workspaces),
        "now": now,
        "pattern": pattern,
        "plane": plane,
        "tier": tier,
    }
    if changed is not None:
        only, order = OF_LANES, IN_ORDER
        values |= {name: list(ids) for name, ids in changed.__dict__.items()}
    else:
        only, order = OF_SERVICE if slug else "", ""
        values |= {"slug": slug}
    connection.ensure_connection()
    # psycopg's own cursor: a prepared statement is planned once per connection, and planning costs most of it. The
    # planner would rather plan for each list of ids anew, which takes ten times as long as the answer.
    with Cursor(connection.connection) as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        rows = cursor.execute(CELLS.format(only=only, order=order), values, prepare=True).fetchall()
    return [Raw(*(*row[:27], _read(row[27]), *row[28:])) for row in rows]


def _read(gates: Any) -> list[dict[str, Any]] | None:
    return json.loads(gates) if isinstance(gates, str) else gates
