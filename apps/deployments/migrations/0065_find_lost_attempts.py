"""Attempts of which nobody can tell for long how they stand, and for which nobody was called yet."""

from django.db import migrations

from apps.core.row_level_security import definer

LOST_ATTEMPTS = """
CREATE FUNCTION lost_attempts(at_least interval) RETURNS TABLE (workspace_id uuid, id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT d.workspace_id, d.id FROM public.deployments_deployment d
    WHERE d.state = 'UNKNOWN' AND d.unknown_since <= clock_timestamp() - at_least
        AND (d.alarmed_at IS NULL OR d.alarmed_at < d.unknown_since)
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("deployments", "0064_find_what_hurts")]

    operations = [
        migrations.RunSQL(LOST_ATTEMPTS, "DROP FUNCTION lost_attempts(interval)"),
        definer("lost_attempts(interval)"),
    ]
