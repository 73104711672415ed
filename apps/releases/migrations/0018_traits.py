"""What a release changed, as its repository says, and what people say it is: both insert-only."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import immutable, protect, publish, same_workspace


class Migration(migrations.Migration):
    dependencies = [
        ("releases", "0017_event_schemas"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReleaseChange",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("since", models.CharField(blank=True, max_length=80)),
                ("paths", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("is_whole", models.BooleanField(default=True)),
                ("is_published", models.BooleanField(default=False)),
                (
                    "release",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="changed", to="releases.release"
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
                "ordering": ["release"],
            },
        ),
        migrations.CreateModel(
            name="ReleaseTrait",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "trait",
                    models.CharField(
                        choices=[
                            ("SECURITY", "Security update"),
                            ("MIGRATION", "Data migration"),
                            ("INFRASTRUCTURE", "Infrastructure change"),
                            ("CRITICAL_PATH", "Critical path"),
                            ("SENSITIVE", "Sensitive change"),
                        ],
                        max_length=14,
                    ),
                ),
                ("reason", models.CharField(max_length=300)),
                ("declared_at", models.DateTimeField()),
                ("declared_by_label", models.CharField(max_length=150)),
                ("is_published", models.BooleanField(default=False)),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="traits", to="releases.release"
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
                "ordering": ["declared_at", "trait"],
                "constraints": [
                    models.UniqueConstraint(fields=("release", "trait"), name="release_trait_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("trait__in", ["SECURITY", "MIGRATION", "INFRASTRUCTURE", "CRITICAL_PATH", "SENSITIVE"])
                        ),
                        name="release_trait_known",
                    ),
                ],
            },
        ),
        *(
            operation
            for table in ("releases_releasechange", "releases_releasetrait")
            for operation in (
                protect(table),
                publish(table),
                same_workspace(table, "release_id", "releases_release"),
                immutable(table),
            )
        ),
    ]
