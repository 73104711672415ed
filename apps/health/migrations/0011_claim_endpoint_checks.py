"""Endpoint checks belong to their workspace; which are due is asked past the scope, a share for each workspace."""

from django.db import migrations

from apps.core.row_level_security import definer, protect, same_workspace

CLAIM = """
CREATE FUNCTION claim_endpoints(at_most integer, at_once integer, per_minute integer)
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
                SELECT c.id FROM public.health_endpointcheck c JOIN public.environments_lane l ON l.id = c.lane_id
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
                next_check_at = moment + make_interval(secs => c.interval_seconds * (0.9 + 0.2 * random()))
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
CREATE FUNCTION prune_endpoint_samples(older_than interval) RETURNS bigint LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM public.health_endpointsample WHERE checked_at < clock_timestamp() - older_than RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
GRANT SELECT, UPDATE ON health_endpointcheck, health_checkquota TO eaip_gate;
GRANT SELECT, DELETE ON health_endpointsample TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("health", "0010_endpoint_checks"), ("environments", "0003_tenancy")]

    operations = [
        protect("health_endpointcheck"),
        protect("health_endpointsample"),
        protect("health_checkquota"),
        same_workspace("health_endpointcheck", "lane_id", "environments_lane"),
        same_workspace("health_endpointsample", "endpoint_id", "health_endpointcheck"),
        migrations.RunSQL(
            CLAIM,
            "DROP FUNCTION claim_endpoints(integer, integer, integer); DROP FUNCTION prune_endpoint_samples(interval);",
        ),
        definer("claim_endpoints(integer, integer, integer)"),
        definer("prune_endpoint_samples(interval)"),
    ]
