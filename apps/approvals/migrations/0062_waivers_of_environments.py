"""What an environment lacks can be waived, where a policy says by whom."""

from django.db import migrations, models

WAIVABLE = [
    "tests", "coverage", "security_scan", "parts_list", "provenance", "performance", "api_compatibility",
    "rollback_readiness", "window", "environment",
]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("approvals", "0061_soak_by_troubles")]

    operations = [
        migrations.RemoveConstraint(model_name="waiver", name="waiver_gate_known"),
        migrations.AddConstraint(
            model_name="waiver",
            constraint=models.CheckConstraint(condition=models.Q(("gate__in", WAIVABLE)), name="waiver_gate_known"),
        ),
    ]
