"""API descriptions are kept as evidence."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("environments", "0014_lane_port"),
        ("releases", "0011_evidence"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="evidence",
            name="evidence_kind_known",
        ),
        migrations.AlterField(
            model_name="evidence",
            name="kind",
            field=models.CharField(
                choices=[
                    ("JUNIT", "Tests (JUnit)"),
                    ("COBERTURA", "Coverage (Cobertura)"),
                    ("LCOV", "Coverage (LCOV)"),
                    ("SARIF", "Findings (SARIF)"),
                    ("CYCLONEDX", "Parts list (CycloneDX)"),
                    ("OPENAPI", "API description (OpenAPI)"),
                ],
                max_length=9,
            ),
        ),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["JUNIT", "COBERTURA", "LCOV", "SARIF", "CYCLONEDX", "OPENAPI"])),
                name="evidence_kind_known",
            ),
        ),
    ]
