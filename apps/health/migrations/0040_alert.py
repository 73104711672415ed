import uuid

import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import definer, protect, same_workspace

PRUNE_ALERTS = """
CREATE FUNCTION prune_alerts(older_than interval) RETURNS bigint LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM public.health_alert WHERE told_at < clock_timestamp() - older_than RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
GRANT SELECT, DELETE ON health_alert TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("health", "0030_dependency"),
        ("environments", "0003_tenancy"),
        ("workspaces", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("fingerprint", models.CharField(max_length=64)),
                ("name", models.CharField(max_length=120)),
                ("severity", models.CharField(blank=True, max_length=40)),
                ("summary", models.CharField(blank=True, max_length=300)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("told_at", models.DateTimeField()),
                ("generator_url", models.CharField(blank=True, max_length=500)),
                (
                    "lane",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="alerts", to="environments.lane"
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["-starts_at", "-pk"],
                "indexes": [
                    models.Index(fields=["lane", "-starts_at"], name="alert_by_lane"),
                    models.Index(condition=models.Q(("ends_at", None)), fields=["lane"], name="alert_firing"),
                    models.Index(fields=["told_at"], name="alert_by_age"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("lane", "fingerprint", "starts_at"), name="alert_once"),
                ],
            },
        ),
        protect("health_alert"),
        same_workspace("health_alert", "lane_id", "environments_lane"),
        migrations.RunSQL(PRUNE_ALERTS, "DROP FUNCTION prune_alerts(interval);"),
        definer("prune_alerts(interval)"),
    ]
