"""How far checkpoints were brought out of the system (ADR 0116)."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import protect


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0006_erasure_ends_exports"),
        ("audit", "0008_cosignatures"),
        ("workspaces", "0003_every_workspace"),
    ]

    operations = [
        migrations.CreateModel(
            name="Anchor",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "place",
                    models.CharField(
                        choices=[("MAIL", "By mail"), ("WEBHOOK", "By webhook"), ("FOLDER", "In a folder")],
                        max_length=8,
                    ),
                ),
                ("signed_at", models.DateTimeField(blank=True, null=True)),
                ("tree_size", models.BigIntegerField(blank=True, null=True)),
                ("key_id", models.CharField(blank=True, max_length=8)),
                ("taken_at", models.DateTimeField(blank=True, null=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("detail", models.CharField(blank=True, max_length=300)),
                ("next_try_at", models.DateTimeField(blank=True, null=True)),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["place"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("place__in", ["MAIL", "WEBHOOK", "FOLDER"])), name="anchor_place_known"
                    ),
                    models.UniqueConstraint(fields=("workspace", "place"), name="anchor_place_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("signed_at__isnull", True), ("taken_at__isnull", True), ("tree_size__isnull", True)
                            ),
                            models.Q(
                                ("signed_at__isnull", False), ("taken_at__isnull", False), ("tree_size__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="anchor_taken_whole",
                    ),
                ],
            },
        ),
        protect("compliance_anchor"),
    ]
