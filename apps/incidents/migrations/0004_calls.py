"""How far the on-call service was told of an incident (ADR 0123)."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

from apps.core.row_level_security import protect, same_workspace


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0003_hotfixes_are_merged_back"),
        ("workspaces", "0003_every_workspace"),
    ]

    operations = [
        migrations.CreateModel(
            name="Call",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("told", models.PositiveIntegerField(default=0)),
                ("refused", models.PositiveIntegerField(default=0)),
                ("opened_at", models.DateTimeField(blank=True, null=True)),
                ("told_at", models.DateTimeField(blank=True, null=True)),
                ("over_at", models.DateTimeField(blank=True, null=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("detail", models.CharField(blank=True, max_length=300)),
                ("next_try_at", models.DateTimeField(blank=True, null=True)),
                (
                    "incident",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="call", to="incidents.incident"
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
                "ordering": ["incident"],
                "indexes": [
                    models.Index(condition=models.Q(("over_at", None)), fields=["next_try_at"], name="call_unfinished")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("opened_at__isnull", True), ("told_at__isnull", True)),
                            models.Q(("opened_at__isnull", False), ("told_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="call_told_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("opened_at__isnull", False), models.Q(("over_at", None), ("told", 0)), _connector="OR"
                        ),
                        name="call_opened_first",
                    ),
                ],
            },
        ),
        protect("incidents_call"),
        same_workspace("incidents_call", "incident_id", "incidents_incident"),
    ]
