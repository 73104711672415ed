"""A policy is proposed by one person and put in force by another."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import final, immutable, protect, same_workspace


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0003_policies_of_the_tiers"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PolicyProposal",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "tier",
                    models.CharField(
                        choices=[
                            ("LOCAL", "Local"),
                            ("DEV", "Dev"),
                            ("QA", "QA"),
                            ("STAGING", "Staging"),
                            ("PRODUCTION", "Production"),
                        ],
                        max_length=10,
                    ),
                ),
                ("source", models.TextField()),
                ("document", models.JSONField()),
                ("digest", models.CharField(max_length=64)),
                ("reason", models.CharField(max_length=300)),
                ("proposed_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("OPEN", "Waits for review"),
                            ("ACTIVATED", "Came into force"),
                            ("REJECTED", "Rejected"),
                            ("WITHDRAWN", "Withdrawn"),
                        ],
                        default="OPEN",
                        max_length=9,
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("comment", models.CharField(blank=True, max_length=300)),
                (
                    "based_on",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="policies.policyversion"
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "version",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proposal",
                        to="policies.policyversion",
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
                "ordering": ["-proposed_at", "-pk"],
                "indexes": [models.Index(fields=["tier", "-proposed_at", "-id"], name="proposal_by_tier")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("tier__in", ["LOCAL", "DEV", "QA", "STAGING", "PRODUCTION"])),
                        name="proposal_tier_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_at", None),
                                ("decided_by", None),
                                ("state", "OPEN"),
                                ("version", None),
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("state", "ACTIVATED"),
                                ("version__isnull", False),
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                                (
                                    "state__in",
                                    [
                                        "REJECTED",
                                        "WITHDRAWN",
                                    ],
                                ),
                                ("version", None),
                            ),
                            _connector="OR",
                        ),
                        name="proposal_decided_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "ACTIVATED"), _negated=True),
                            models.Q(
                                ("decided_by__isnull", False),
                                models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="proposal_activated_by_another",
                    ),
                ],
            },
        ),
        protect("policies_policyproposal"),
        same_workspace("policies_policyproposal", "based_on_id", "policies_policyversion"),
        same_workspace("policies_policyproposal", "version_id", "policies_policyversion"),
        immutable(
            "policies_policyproposal",
            ("tier", "source", "document", "digest", "reason", "based_on_id", "proposed_at", "proposed_by_id"),
        ),
        final("policies_policyproposal", ("ACTIVATED", "REJECTED", "WITHDRAWN")),
    ]
