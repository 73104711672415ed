"""A row here keeps the trail from telling the same refusal twice within an hour; older ones serve for nothing."""

from django.db import migrations

from apps.core.row_level_security import definer

PRUNE_DENIALS = """
CREATE FUNCTION prune_denials(older_than interval) RETURNS bigint LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM public.environments_admissiondenial WHERE told_at < clock_timestamp() - older_than RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
GRANT SELECT, DELETE ON environments_admissiondenial TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("environments", "0016_admission_denials")]

    operations = [
        migrations.RunSQL(PRUNE_DENIALS, "DROP FUNCTION prune_denials(interval);"),
        definer("prune_denials(interval)"),
    ]
