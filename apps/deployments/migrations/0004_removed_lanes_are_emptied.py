"""A lane that was removed while something ran in it is at rest too: what runs there is stopped."""

from django.db import migrations

LANES_AT_REST = """
CREATE OR REPLACE FUNCTION lanes_at_rest() RETURNS TABLE (workspace_id uuid, id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT l.workspace_id, l.id
    FROM public.environments_lane l
    CROSS JOIN LATERAL (
        SELECT d.state, d.kind FROM public.deployments_deployment d
        WHERE d.lane_id = l.id ORDER BY d.number DESC LIMIT 1
    ) last
    WHERE last.state NOT IN ('STARTING', 'MIGRATING', 'APPLYING', 'VERIFYING', 'CANCELLING', 'UNKNOWN')
        AND CASE
            WHEN l.removed_at IS NOT NULL THEN l.live_release_id IS NOT NULL
            -- After a rollback that failed, or an abandoned attempt, a person decides; nothing here does.
            ELSE last.state <> 'ABANDONED' AND NOT (last.state = 'FAILED' AND last.kind = 'ROLLBACK')
        END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("deployments", "0003_plan_steps_and_find_due_work")]

    # The reverse keeps the newer body: the older one knew the same columns.
    operations = [migrations.RunSQL(LANES_AT_REST, migrations.RunSQL.noop)]
