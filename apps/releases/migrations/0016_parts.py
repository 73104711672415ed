"""More kinds of evidence; and what parts lists name is kept part by part, insert-only, with its list."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import immutable, protect, same_workspace

KINDS = [
    ("JUNIT", "Tests (JUnit)"),
    ("COBERTURA", "Coverage (Cobertura)"),
    ("LCOV", "Coverage (LCOV)"),
    ("SARIF", "Findings (SARIF)"),
    ("TRIVY", "Findings (Trivy)"),
    ("ZAP", "Findings (ZAP)"),
    ("CYCLONEDX", "Parts list (CycloneDX)"),
    ("SPDX", "Parts list (SPDX)"),
    ("PROVENANCE", "Provenance (in-toto)"),
    ("BENCHMARK", "Benchmarks"),
    ("OPENAPI", "API description (OpenAPI)"),
]


class Migration(migrations.Migration):
    dependencies = [("releases", "0015_data_migrations"), ("workspaces", "0002_tenancy")]

    operations = [
        migrations.RemoveConstraint(model_name="evidence", name="evidence_kind_known"),
        migrations.AlterField(model_name="evidence", name="kind", field=models.CharField(choices=KINDS, max_length=10)),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", [kind for kind, _ in KINDS])), name="evidence_kind_known"
            ),
        ),
        migrations.CreateModel(
            name="Part",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("rank", models.PositiveIntegerField()),
                ("key", models.CharField(max_length=300)),
                ("name", models.CharField(max_length=200)),
                ("version", models.CharField(blank=True, max_length=100)),
                ("licence", models.CharField(blank=True, max_length=200)),
                (
                    "evidence",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="parts", to="releases.evidence"
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
                "ordering": ["-rank"],
                "constraints": [
                    models.UniqueConstraint(fields=("evidence", "key", "version"), name="part_once"),
                    models.UniqueConstraint(fields=("evidence", "rank"), name="part_rank_once"),
                ],
            },
        ),
        protect("releases_part"),
        same_workspace("releases_part", "evidence_id", "releases_evidence"),
        immutable("releases_part"),
    ]
