"""Two more gates go by reports, and can be waived as the others of their kind."""

from django.db import migrations, models

WAIVABLE = [
    "tests", "coverage", "security_scan", "parts_list", "provenance", "performance", "api_compatibility",
    "rollback_readiness", "window",
]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("approvals", "0058_where_hotfixes_are_cut")]

    operations = [
        migrations.RemoveConstraint(model_name="waiver", name="waiver_gate_known"),
        migrations.AddConstraint(
            model_name="waiver",
            constraint=models.CheckConstraint(condition=models.Q(("gate__in", WAIVABLE)), name="waiver_gate_known"),
        ),
    ]
