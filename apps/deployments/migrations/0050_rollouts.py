"""Roll-outs; an ended one stays ended. `rollouts_running` is asked past the scope: ids only."""

import datetime
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import definer, final, protect, same_workspace

RUNNING = """
CREATE FUNCTION rollouts_running(one uuid DEFAULT NULL) RETURNS TABLE (workspace_id uuid, id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT r.workspace_id, r.id FROM public.deployments_rollout r
    WHERE r.state = 'RUNNING' AND (one IS NULL OR r.id = one) ORDER BY r.number
$$;
GRANT SELECT ON deployments_rollout TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0004_requirement_ended_at"),
        ("deployments", "0005_name_steps_not_reached"),
        ("environments", "0003_tenancy"),
        ("releases", "0004_pushes_become_releases"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL("CREATE SEQUENCE rollout_number", "DROP SEQUENCE rollout_number"),
        migrations.CreateModel(
            name="Rollout",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "number",
                    models.BigIntegerField(
                        db_default=models.Func(models.Value("rollout_number"), function="nextval"), editable=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("RUNNING", "Running"),
                            ("PAUSED", "Paused"),
                            ("COMPLETED", "Completed"),
                            ("STOPPED", "Stopped"),
                        ],
                        default="RUNNING",
                        max_length=9,
                    ),
                ),
                ("pause", models.DurationField(default=datetime.timedelta(0))),
                ("released_wave", models.PositiveSmallIntegerField(default=0)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("requested_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("outcome", models.CharField(blank=True, max_length=500)),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="rollouts", to="releases.release"
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="rollouts", to="releases.service"
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
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="RolloutLane",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("wave", models.PositiveSmallIntegerField()),
                ("refusal", models.CharField(blank=True, max_length=300)),
                (
                    "lane",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="rollouts", to="environments.lane"
                    ),
                ),
                (
                    "promotion",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rollout_lane",
                        to="approvals.promotion",
                    ),
                ),
                (
                    "rollout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="lanes", to="deployments.rollout"
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
                "ordering": ["rollout", "wave", "lane"],
            },
        ),
        migrations.AddIndex(
            model_name="rollout",
            index=models.Index(condition=models.Q(("state", "RUNNING")), fields=["state"], name="rollout_running"),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.UniqueConstraint(fields=("number",), name="rollout_number_once"),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("RUNNING", "PAUSED"))),
                fields=("workspace", "service"),
                name="rollout_open_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["RUNNING", "PAUSED", "COMPLETED", "STOPPED"])),
                name="rollout_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at", None), ("state__in", ("RUNNING", "PAUSED"))),
                    models.Q(
                        models.Q(("state__in", ("RUNNING", "PAUSED")), _negated=True), ("ended_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="rollout_ended_whole",
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutlane",
            constraint=models.UniqueConstraint(fields=("rollout", "lane"), name="rollout_lane_once"),
        ),
        migrations.AddConstraint(
            model_name="rolloutlane",
            constraint=models.CheckConstraint(
                condition=models.Q(("wave__gte", 1)), name="rollout_wave_counts_from_one"
            ),
        ),
        protect("deployments_rollout"),
        protect("deployments_rolloutlane"),
        same_workspace("deployments_rolloutlane", "rollout_id", "deployments_rollout"),
        same_workspace("deployments_rolloutlane", "lane_id", "environments_lane"),
        same_workspace("deployments_rolloutlane", "promotion_id", "approvals_promotion"),
        final("deployments_rollout", ("COMPLETED", "STOPPED")),
        migrations.RunSQL(RUNNING, "DROP FUNCTION rollouts_running(uuid)"),
        definer("rollouts_running(uuid)"),
    ]
