"""Which checks are due, asked past the scope: ids only, each handled in its own workspace. Old samples go at once."""

from django.db import migrations

from apps.core.row_level_security import definer

DUE_CHECKS = """
CREATE FUNCTION due_checks(at_most integer) RETURNS TABLE (workspace_id uuid, id uuid) LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT c.workspace_id, c.id
    FROM public.health_healthcheck c
    JOIN public.environments_lane l ON l.id = c.lane_id
    WHERE c.due_at <= clock_timestamp() AND l.removed_at IS NULL AND l.live_release_id IS NOT NULL
    ORDER BY c.due_at
    LIMIT at_most
$$;
CREATE FUNCTION prune_samples(older_than interval) RETURNS bigint LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM public.health_healthsample WHERE checked_at < clock_timestamp() - older_than RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
GRANT SELECT ON health_healthcheck, health_healthsample, environments_lane TO eaip_gate;
GRANT DELETE ON health_healthsample TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("health", "0002_tenancy"), ("environments", "0003_tenancy")]

    operations = [
        migrations.RunSQL(DUE_CHECKS, "DROP FUNCTION due_checks(integer); DROP FUNCTION prune_samples(interval);"),
        definer("due_checks(integer)"),
        definer("prune_samples(interval)"),
    ]
