"""After a failure over a forward-only migration nothing is brought back by itself, by no reconciliation either."""

from importlib import import_module

from django.db import migrations, models

before = import_module("apps.deployments.migrations.0004_removed_lanes_are_emptied")

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
                -- Nor where a rollback was withheld, until something succeeds: data would be read by who can't.
                AND NOT EXISTS (
                    SELECT FROM public.deployments_deployment w
                    WHERE w.lane_id = l.id AND w.rollback_withheld <> ''
                        AND NOT EXISTS (
                            SELECT FROM public.deployments_deployment s
                            WHERE s.lane_id = l.id AND s.number > w.number AND s.state = 'SUCCEEDED'
                        )
                )
        END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("deployments", "0061_find_the_last_fence")]

    operations = [
        migrations.AddField(
            "deployment", "rollback_withheld", models.CharField(blank=True, db_default="", default="", max_length=300)
        ),
        migrations.AddIndex(
            "deployment",
            models.Index(
                fields=["lane"],
                condition=models.Q(("rollback_withheld", ""), _negated=True),
                name="deployment_withheld",
            ),
        ),
        migrations.RunSQL(LANES_AT_REST, before.LANES_AT_REST),
    ]
