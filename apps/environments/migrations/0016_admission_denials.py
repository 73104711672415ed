import uuid

import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import protect


class Migration(migrations.Migration):
    dependencies = [("environments", "0015_calendar_feeds"), ("workspaces", "0002_tenancy")]

    operations = [
        migrations.CreateModel(
            "AdmissionDenial",
            [
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=64)),
                ("told_at", models.DateTimeField()),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("workspace", "key"), name="admission_denial_once")]
            },
        ),
        protect("environments_admissiondenial"),
    ]
