"""Which database this is: another server that took over, or a restored backup, may have lost the last fences.

`pg_walfile_name` begins with the timeline of this moment; that of the last checkpoint may still be the one before.
"""

from django.db import migrations, models

from apps.core.row_level_security import definer

REMEMBER = """
CREATE FUNCTION database_identity() RETURNS text LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM pg_control_system()
$$;

CREATE FUNCTION active_deployments() RETURNS TABLE (workspace_id uuid, id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT d.workspace_id, d.id FROM public.deployments_deployment d
    WHERE d.state IN ('STARTING', 'MIGRATING', 'APPLYING', 'VERIFYING', 'CANCELLING', 'UNKNOWN')
    ORDER BY d.lane_id
$$;

-- Further than any tail that could be lost: targets have seen fences that this database knows nothing of.
CREATE FUNCTION raise_fences() RETURNS bigint LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT setval('public.deployment_fence', nextval('public.deployment_fence') + 1000000)
$$;
GRANT USAGE, UPDATE ON SEQUENCE deployment_fence TO eaip_gate;

INSERT INTO deployments_databaseepoch (id, identity, since) VALUES (1, database_identity(), clock_timestamp());
"""


class Migration(migrations.Migration):
    dependencies = [("deployments", "0050_rollouts")]

    operations = [
        migrations.CreateModel(
            name="DatabaseEpoch",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("identity", models.CharField(max_length=40)),
                ("since", models.DateTimeField()),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(id=1), name="database_epoch_is_one_row")]
            },
        ),
        migrations.RunSQL(
            REMEMBER,
            "DROP FUNCTION raise_fences(); DROP FUNCTION active_deployments(); DROP FUNCTION database_identity();",
        ),
        definer("active_deployments()"),
        definer("raise_fences()"),
    ]
