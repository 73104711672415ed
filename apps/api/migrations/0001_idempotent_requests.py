"""Requests that were done once under a key (docs/reference/api.md)."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import protect, same_workspace


class Migration(migrations.Migration):
    initial = True

    dependencies = [("workspaces", "0002_tenancy")]

    operations = [
        migrations.CreateModel(
            name="IdempotentRequest",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=80)),
                ("body_digest", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField(default=0)),
                ("answer", models.JSONField(default=dict)),
                ("requested_at", models.DateTimeField()),
                (
                    "token",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.apitoken"
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
                "constraints": [models.UniqueConstraint(fields=("token", "key"), name="idempotency_key_once")],
            },
        ),
        protect("api_idempotentrequest"),
        same_workspace("api_idempotentrequest", "token_id", "workspaces_apitoken"),
    ]
