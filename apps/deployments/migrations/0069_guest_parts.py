"""What who steers a roll-out may know of its guests, in rows of their own workspace."""

import uuid

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from apps.core.row_level_security import protect, same_workspace

TABLE = "deployments_guestpart"
STATES = [
    ("FAILED", "Failed"),
    ("UNDER_WAY", "Deploying"),
    ("ASKED", "Waits for its own people"),
    ("WAITING", "Waits for its wave"),
    ("HELD", "Held"),
    ("DONE", "Runs it"),
    ("LEFT", "Left"),
]


class Migration(migrations.Migration):
    dependencies = [("deployments", "0068_rollouts_span_workspaces"), ("workspaces", "0002_tenancy")]

    operations = [
        migrations.CreateModel(
            "GuestPart",
            [
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("guest", models.UUIDField()),
                ("state", models.CharField(choices=STATES, max_length=9)),
                ("sentence", models.CharField(max_length=200)),
                ("since", models.DateTimeField()),
                (
                    "rollout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="guest_parts",
                        to="deployments.rollout",
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
                "ordering": ["rollout", "guest"],
                "constraints": [
                    models.UniqueConstraint(fields=("rollout", "guest"), name="guest_part_once"),
                    models.CheckConstraint(
                        condition=Q(state__in=[state for state, _ in STATES]), name="guest_part_state_known"
                    ),
                ],
            },
        ),
        protect(TABLE),
        same_workspace(TABLE, "rollout_id", "deployments_rollout"),
    ]
