"""Reports of releases: insert-only, with the original in the artifact store."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import immutable, protect, same_workspace


class Migration(migrations.Migration):
    dependencies = [
        ("environments", "0014_lane_port"),
        ("releases", "0010_charts"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Evidence",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("JUNIT", "Tests (JUnit)"),
                            ("COBERTURA", "Coverage (Cobertura)"),
                            ("LCOV", "Coverage (LCOV)"),
                            ("SARIF", "Findings (SARIF)"),
                            ("CYCLONEDX", "Parts list (CycloneDX)"),
                        ],
                        max_length=9,
                    ),
                ),
                (
                    "suite",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("UNIT", "Unit tests"),
                            ("INTEGRATION", "Integration tests"),
                            ("END_TO_END", "End-to-end tests"),
                        ],
                        max_length=11,
                    ),
                ),
                ("artifact_digest", models.CharField(max_length=71)),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.PositiveIntegerField()),
                ("figures", models.JSONField()),
                ("received_at", models.DateTimeField()),
                ("received_from_label", models.CharField(max_length=150)),
                (
                    "environment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="environments.environment",
                    ),
                ),
                (
                    "received_from",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="evidence", to="releases.release"
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
                "ordering": ["-received_at", "-pk"],
                "indexes": [models.Index(fields=["release", "-received_at"], name="evidence_by_release")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("release", "kind", "suite", "environment", "sha256"),
                        name="evidence_once",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["JUNIT", "COBERTURA", "LCOV", "SARIF", "CYCLONEDX"])),
                        name="evidence_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "JUNIT"), ("suite__in", ["UNIT", "INTEGRATION", "END_TO_END"])),
                            models.Q(models.Q(("kind", "JUNIT"), _negated=True), ("suite", "")),
                            _connector="OR",
                        ),
                        name="evidence_suite_of_tests",
                    ),
                ],
            },
        ),
        protect("releases_evidence"),
        same_workspace("releases_evidence", "release_id", "releases_release"),
        same_workspace("releases_evidence", "environment_id", "environments_environment"),
        immutable("releases_evidence"),
    ]
