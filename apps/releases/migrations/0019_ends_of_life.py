"""Minor lines that people announced to end, six months ahead."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.audit.net import govern
from apps.core.row_level_security import immutable, protect, publish, same_workspace

TABLE = "releases_endoflife"
NOTICE = f"""
ALTER TABLE {TABLE} ADD CONSTRAINT end_of_life_notice CHECK (
    ends_date >= ((announced_at AT TIME ZONE 'UTC')::date + interval '6 months')::date);
"""
PERSON = {"on_delete": django.db.models.deletion.PROTECT, "related_name": "+", "to": settings.AUTH_USER_MODEL}


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0006_net"),
        ("releases", "0018_traits"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EndOfLife",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("major", models.PositiveIntegerField()),
                ("minor", models.PositiveIntegerField()),
                ("ends_date", models.DateField()),
                ("reason", models.CharField(max_length=300)),
                ("announced_at", models.DateTimeField()),
                ("announced_by", models.ForeignKey(**PERSON)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawn_by", models.ForeignKey(blank=True, null=True, **PERSON)),
                ("is_published", models.BooleanField(default=False)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="ends_of_life", to="releases.service"
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
                "ordering": ["-announced_at", "-pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("withdrawn_at", None)),
                        fields=("service", "major", "minor"),
                        name="end_of_life_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("withdrawn_at__isnull", True), ("withdrawn_by__isnull", True)),
                            models.Q(("withdrawn_at__isnull", False), ("withdrawn_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="end_of_life_withdrawn_whole",
                    ),
                ],
            },
        ),
        protect(TABLE),
        publish(TABLE),
        same_workspace(TABLE, "service_id", "releases_service"),
        immutable(
            TABLE,
            ("workspace_id", "service_id", "major", "minor", "ends_date", "reason", "announced_at", "announced_by_id"),
        ),
        immutable(TABLE, when="OLD.withdrawn_at IS NOT NULL", name="withdrawn"),
        migrations.RunSQL(NOTICE, f"ALTER TABLE {TABLE} DROP CONSTRAINT end_of_life_notice;"),
        govern(TABLE),
    ]
