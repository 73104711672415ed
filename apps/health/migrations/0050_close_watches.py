"""Under a close watch the addresses of a lane are asked more often, though none more often than anybody may ask for.

The version before asks with three numbers, which still works: so there is nothing to take back.
"""

from django.db import migrations

from apps.core.row_level_security import definer

CLAIM = """
CREATE OR REPLACE FUNCTION claim_endpoints(at_most integer, at_once integer, per_minute integer, close_times integer DEFAULT 1)
    RETURNS TABLE (owner uuid, checked uuid, lease timestamptz) LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    remaining integer := at_most;
    quota record;
    share integer;
    used_up integer;
    taken integer;
BEGIN
    SELECT greatest(1, at_most / greatest(1, count(*)::integer)) INTO share
    FROM public.health_checkquota q
    WHERE EXISTS (
        SELECT 1 FROM public.health_endpointcheck c
        WHERE c.workspace_id = q.workspace_id AND c.next_check_at <= moment
    );
    FOR quota IN
        SELECT q.id, q.workspace_id, q.minute_began_at, q.used FROM public.health_checkquota q
        WHERE EXISTS (
            SELECT 1 FROM public.health_endpointcheck c
            WHERE c.workspace_id = q.workspace_id AND c.next_check_at <= moment
        )
        ORDER BY q.claimed_at
        FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN remaining <= 0;
        used_up := CASE WHEN quota.minute_began_at > moment - interval '1 minute' THEN quota.used ELSE 0 END;
        RETURN QUERY
            WITH due AS (
                SELECT c.id,
                    CASE WHEN l.close_watch_until > moment THEN close_times ELSE 1 END AS times
                FROM public.health_endpointcheck c JOIN public.environments_lane l ON l.id = c.lane_id
                WHERE c.workspace_id = quota.workspace_id AND c.next_check_at <= moment
                    AND (c.leased_until IS NULL OR c.leased_until <= moment) AND l.removed_at IS NULL
                ORDER BY c.next_check_at
                LIMIT greatest(0, least(remaining, share, per_minute - used_up, at_once - (
                    SELECT count(*)::integer FROM public.health_endpointcheck r
                    WHERE r.workspace_id = quota.workspace_id AND r.leased_until > moment
                )))
                FOR NO KEY UPDATE OF c SKIP LOCKED
            )
            UPDATE public.health_endpointcheck c
            SET leased_until = moment + make_interval(secs => c.timeout_seconds + 10),
                next_check_at = moment + make_interval(
                    secs => greatest(10, c.interval_seconds / due.times) * (0.9 + 0.2 * random())
                )
            FROM due WHERE c.id = due.id
            RETURNING c.workspace_id, c.id, c.leased_until;
        GET DIAGNOSTICS taken = ROW_COUNT;
        UPDATE public.health_checkquota q
        SET claimed_at = moment, used = used_up + taken,
            minute_began_at = CASE WHEN used_up = 0 THEN moment ELSE q.minute_began_at END
        WHERE q.id = quota.id;
        remaining := remaining - taken;
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("health", "0040_alert"),
        ("health", "0011_claim_endpoint_checks"),
        ("environments", "0013_lanes_watched_closely"),
    ]

    operations = [
        migrations.RunSQL(
            "DROP FUNCTION IF EXISTS claim_endpoints(integer, integer, integer);" + CLAIM, migrations.RunSQL.noop
        ),
        definer("claim_endpoints(integer, integer, integer, integer)"),
    ]
