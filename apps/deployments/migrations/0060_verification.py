"""Terms and samples of verifications; a sample never changes."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import immutable, protect, same_workspace


class Migration(migrations.Migration):
    dependencies = [("deployments", "0052_two_people_abandon"), ("workspaces", "0002_tenancy")]

    operations = [
        migrations.AddField("deployment", "terms", models.JSONField(blank=True, default=dict)),
        migrations.CreateModel(
            name="VerificationSample",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("taken_at", models.DateTimeField()),
                ("fault", models.CharField(blank=True, max_length=200)),
                ("requests", models.PositiveIntegerField()),
                ("errors", models.PositiveIntegerField()),
                ("p95_ms", models.FloatField(blank=True, null=True)),
                ("error_limit", models.FloatField()),
                ("p95_limit_ms", models.FloatField(blank=True, null=True)),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="samples", to="deployments.deployment"
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
                "ordering": ["deployment", "taken_at"],
                "indexes": [models.Index(fields=["deployment", "taken_at"], name="sample_by_deployment")],
            },
        ),
        protect("deployments_verificationsample"),
        same_workspace("deployments_verificationsample", "deployment_id", "deployments_deployment"),
        immutable("deployments_verificationsample"),
    ]
