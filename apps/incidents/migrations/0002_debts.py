"""What an emergency leaves owed; what is paid stays so."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import immutable, protect, same_workspace


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0001_initial"),
        ("approvals", "0051_emergencies"),
        ("accounts", "0005_senior_engineer"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="entry",
            name="kind",
            field=models.CharField(
                choices=[
                    ("DECLARED", "Declared"),
                    ("NOTE", "Note"),
                    ("SEVERITY", "Severity changed"),
                    ("DEPLOYMENT", "Deployment linked"),
                    ("RESOLVED", "Resolved"),
                    ("FACT", "Seen by the portal"),
                ],
                max_length=10,
            ),
        ),
        migrations.RemoveConstraint(model_name="entry", name="entry_kind_matches"),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deployment__isnull", False), ("kind", "DEPLOYMENT")),
                    models.Q(("deployment", None), ("kind__in", ["DECLARED", "NOTE", "SEVERITY", "RESOLVED", "FACT"])),
                    _connector="OR",
                ),
                name="entry_kind_matches",
            ),
        ),
        migrations.CreateModel(
            name="Debt",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("APPROVAL", "Approval afterwards"),
                            ("POST_MORTEM", "Post-mortem"),
                            ("PUBLICATION", "Publication of the post-mortem"),
                        ],
                        max_length=11,
                    ),
                ),
                ("owed_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("paid_at", models.DateTimeField(blank=True, null=True)),
                ("words", models.CharField(blank=True, max_length=2000)),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="debts", to="incidents.incident"
                    ),
                ),
                (
                    "paid_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="debts",
                        to="approvals.promotion",
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.role",
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
                "ordering": ["due_at", "kind", "role"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("paid_at", None)), fields=["workspace", "due_at"], name="debt_unpaid"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "APPROVAL"), _negated=True),
                        fields=("incident", "kind"),
                        name="debt_document_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "APPROVAL")),
                        fields=("promotion", "role"),
                        name="debt_approval_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "APPROVAL"), ("promotion__isnull", False), ("role__isnull", False)),
                            models.Q(("kind__in", ["POST_MORTEM", "PUBLICATION"]), ("promotion", None), ("role", None)),
                            _connector="OR",
                        ),
                        name="debt_kind_matches",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("paid_at__isnull", True), ("paid_by__isnull", True)),
                            models.Q(("paid_at__isnull", False), ("paid_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="debt_paid_whole",
                    ),
                ],
            },
        ),
        protect("incidents_debt"),
        same_workspace("incidents_debt", "incident_id", "incidents_incident"),
        same_workspace("incidents_debt", "promotion_id", "approvals_promotion"),
        immutable("incidents_debt", when="OLD.paid_at IS NOT NULL"),
    ]
