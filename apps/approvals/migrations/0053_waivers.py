"""Gates that somebody lets one promotion pass: voided, never changed."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import immutable, protect, same_workspace

WAIVABLE = ["tests", "coverage", "security_scan", "parts_list", "api_compatibility", "rollback_readiness", "window"]
GRANTED = (
    "workspace_id",
    "promotion_id",
    "gate",
    "role_id",
    "reason",
    "plan_hash",
    "granted_at",
    "granted_by_id",
    "expires_at",
)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_policies_are_changed_by_roles"),
        ("approvals", "0052_delegations_and_notices"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Waiver",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("gate", models.CharField(max_length=30)),
                ("reason", models.CharField(max_length=300)),
                ("plan_hash", models.CharField(max_length=64)),
                ("granted_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("voided_at", models.DateTimeField(blank=True, null=True)),
                ("void_reason", models.CharField(blank=True, max_length=200, null=True)),
                (
                    "granted_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="waivers", to="approvals.promotion"
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.role"
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
                "ordering": ["granted_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("voided_at", None)), fields=("promotion", "gate"), name="waiver_once"
                    ),
                    models.CheckConstraint(condition=models.Q(("gate__in", WAIVABLE)), name="waiver_gate_known"),
                    models.CheckConstraint(
                        condition=models.Q(("expires_at__gt", models.F("granted_at"))), name="waiver_lasts"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("void_reason__isnull", True), ("voided_at__isnull", True)),
                            models.Q(("void_reason__isnull", False), ("voided_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="waiver_voided_whole",
                    ),
                ],
            },
        ),
        protect("approvals_waiver"),
        same_workspace("approvals_waiver", "promotion_id", "approvals_promotion"),
        immutable("approvals_waiver", GRANTED),
    ]
