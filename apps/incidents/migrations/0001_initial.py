"""Incidents and their timelines; a resolved one stays resolved, a line of a timeline never changes."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import final, immutable, protect, same_workspace


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("deployments", "0061_find_the_last_fence"),
        ("environments", "0014_lane_port"),
        ("releases", "0012_api_descriptions"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL("CREATE SEQUENCE incident_number", "DROP SEQUENCE incident_number"),
        migrations.CreateModel(
            name="Incident",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "number",
                    models.BigIntegerField(
                        db_default=models.Func(models.Value("incident_number"), function="nextval"), editable=False
                    ),
                ),
                ("title", models.CharField(max_length=200)),
                (
                    "severity",
                    models.CharField(
                        choices=[
                            ("SEV1", "SEV1 · customers can't work"),
                            ("SEV2", "SEV2 · customers work with difficulty"),
                            ("SEV3", "SEV3 · customers hardly notice"),
                            ("SEV4", "SEV4 · nobody outside notices"),
                        ],
                        max_length=4,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("OPEN", "Open"), ("RESOLVED", "Resolved")], default="OPEN", max_length=8
                    ),
                ),
                ("declared_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
                ("resolution", models.CharField(blank=True, max_length=2000)),
                (
                    "declared_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="incidents",
                        to="environments.environment",
                    ),
                ),
                (
                    "resolved_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="incidents",
                        to="releases.service",
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
                "indexes": [
                    models.Index(fields=["workspace", "-declared_at"], name="incident_by_age"),
                    models.Index(condition=models.Q(("state", "OPEN")), fields=["workspace"], name="incident_open"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("number",), name="incident_number_once"),
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", ["SEV1", "SEV2", "SEV3", "SEV4"])),
                        name="incident_severity_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("resolution", ""), ("resolved_at", None), ("resolved_by", None), ("state", "OPEN")
                            ),
                            models.Q(
                                ("resolved_at__isnull", False),
                                ("resolved_by__isnull", False),
                                ("state", "RESOLVED"),
                                models.Q(("resolution", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="incident_resolved_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("DECLARED", "Declared"),
                            ("NOTE", "Note"),
                            ("SEVERITY", "Severity changed"),
                            ("DEPLOYMENT", "Deployment linked"),
                            ("RESOLVED", "Resolved"),
                        ],
                        max_length=10,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("by_label", models.CharField(max_length=150)),
                ("text", models.CharField(blank=True, max_length=2000)),
                (
                    "deployment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="incident_entries",
                        to="deployments.deployment",
                    ),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="incidents.incident",
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
                "ordering": ["-at", "-pk"],
                "indexes": [models.Index(fields=["incident", "-at"], name="entry_by_incident")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("deployment__isnull", False)),
                        fields=("incident", "deployment"),
                        name="entry_deployment_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deployment__isnull", False), ("kind", "DEPLOYMENT")),
                            models.Q(("deployment", None), ("kind__in", ["DECLARED", "NOTE", "SEVERITY", "RESOLVED"])),
                            _connector="OR",
                        ),
                        name="entry_kind_matches",
                    ),
                ],
            },
        ),
        protect("incidents_incident"),
        protect("incidents_entry"),
        same_workspace("incidents_incident", "environment_id", "environments_environment"),
        same_workspace("incidents_entry", "incident_id", "incidents_incident"),
        same_workspace("incidents_entry", "deployment_id", "deployments_deployment"),
        final("incidents_incident", ("RESOLVED",)),
        immutable("incidents_entry"),
    ]
