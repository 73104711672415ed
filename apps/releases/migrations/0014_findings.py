"""What scanners found is kept one by one, insert-only, with its report; people accept it, for a while."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import immutable, protect, same_workspace

KINDS = [
    ("JUNIT", "Tests (JUnit)"),
    ("COBERTURA", "Coverage (Cobertura)"),
    ("LCOV", "Coverage (LCOV)"),
    ("SARIF", "Findings (SARIF)"),
    ("TRIVY", "Findings (Trivy)"),
    ("CYCLONEDX", "Parts list (CycloneDX)"),
    ("OPENAPI", "API description (OpenAPI)"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("releases", "0013_api_comparisons"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="evidence", name="evidence_kind_known"),
        migrations.AlterField(model_name="evidence", name="kind", field=models.CharField(choices=KINDS, max_length=9)),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", [kind for kind, _ in KINDS])), name="evidence_kind_known"
            ),
        ),
        migrations.CreateModel(
            name="Finding",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "severity",
                    models.PositiveSmallIntegerField(choices=[(1, "Low"), (2, "Medium"), (3, "High"), (4, "Critical")]),
                ),
                ("rule", models.CharField(max_length=200)),
                ("place", models.CharField(blank=True, max_length=300)),
                ("title", models.CharField(max_length=300)),
                ("fingerprint", models.CharField(max_length=64)),
                (
                    "evidence",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="findings", to="releases.evidence"
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
                "ordering": ["-severity", "-pk"],
                "indexes": [models.Index(fields=["evidence", "-severity", "-id"], name="finding_by_report")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", [1, 2, 3, 4])), name="finding_severity_known"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Acceptance",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("rule", models.CharField(max_length=200)),
                ("fingerprint", models.CharField(max_length=64)),
                (
                    "severity",
                    models.PositiveSmallIntegerField(choices=[(1, "Low"), (2, "Medium"), (3, "High"), (4, "Critical")]),
                ),
                ("title", models.CharField(max_length=300)),
                ("place", models.CharField(blank=True, max_length=300)),
                ("reason", models.CharField(max_length=300)),
                ("accepted_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("end_reason", models.CharField(blank=True, max_length=300, null=True)),
                (
                    "accepted_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "ended_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="acceptances", to="releases.service"
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
                "ordering": ["-accepted_at", "-pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("service", "rule", "fingerprint"),
                        name="acceptance_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", [1, 2, 3, 4])), name="acceptance_severity_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("expires_at__gt", models.F("accepted_at"))), name="acceptance_lasts"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("end_reason__isnull", True), ("ended_at__isnull", True), ("ended_by__isnull", True)
                            ),
                            models.Q(
                                ("end_reason__isnull", False), ("ended_at__isnull", False), ("ended_by__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="acceptance_ended_whole",
                    ),
                ],
            },
        ),
        protect("releases_finding"),
        same_workspace("releases_finding", "evidence_id", "releases_evidence"),
        immutable("releases_finding"),
        protect("releases_acceptance"),
        same_workspace("releases_acceptance", "service_id", "releases_service"),
        immutable(
            "releases_acceptance",
            (
                "workspace_id",
                "service_id",
                "rule",
                "fingerprint",
                "severity",
                "title",
                "place",
                "reason",
                "accepted_at",
                "accepted_by_id",
                "expires_at",
            ),
        ),
    ]
