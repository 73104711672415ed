"""What was said last of releases where their lanes take them from."""

import uuid

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from apps.core.row_level_security import protect, same_workspace

TABLE = "environments_artifactanswer"


class Migration(migrations.Migration):
    dependencies = [
        ("environments", "0019_data_by_policy"),
        ("releases", "0019_ends_of_life"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            "ArtifactAnswer",
            [
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=71)),
                (
                    "answer",
                    models.CharField(
                        choices=[("HELD", "There"), ("MISSING", "Not there"), ("UNKNOWN", "Not known")],
                        default="UNKNOWN",
                        max_length=7,
                    ),
                ),
                ("detail", models.CharField(blank=True, max_length=300)),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
                ("asked_at", models.DateTimeField(blank=True, null=True)),
                ("asked_by", models.CharField(blank=True, max_length=150)),
                ("trouble", models.CharField(blank=True, max_length=300)),
                ("due_at", models.DateTimeField()),
                ("turn", models.UUIDField(blank=True, null=True)),
                (
                    "lane",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="answers", to="environments.lane"
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="releases.release"
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
                "constraints": [
                    models.UniqueConstraint(fields=("lane", "release"), name="artifact_answer_once"),
                    models.CheckConstraint(
                        condition=Q(answer__in=["HELD", "MISSING", "UNKNOWN"]), name="artifact_answer_known"
                    ),
                    models.CheckConstraint(
                        condition=Q(answered_at__isnull=False) | Q(answer="UNKNOWN"), name="artifact_answer_said"
                    ),
                    models.CheckConstraint(
                        condition=Q(asked_at=None, asked_by="") | (Q(asked_at__isnull=False) & ~Q(asked_by="")),
                        name="artifact_answer_asked_whole",
                    ),
                ],
                "indexes": [models.Index(fields=["lane", "due_at"], name="artifact_answer_due")],
            },
        ),
        protect(TABLE),
        same_workspace(TABLE, "lane_id", "environments_lane"),
    ]
