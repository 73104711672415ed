"""The one who approves data migrations: a role of its own, so that no other approval stands for it."""

from django.db import migrations

CODE = "MIGRATION_APPROVER"
CAPABILITIES = ["PROMOTION_DECIDE", "AUDIT_READ"]


def add(apps, schema_editor):
    apps.get_model("accounts", "Role").objects.get_or_create(
        code=CODE, defaults={"label": "Migration approver", "capabilities": CAPABILITIES, "position": 7}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0054_decision_says_how_it_was_confirmed"),
        ("accounts", "0006_second_factors"),
    ]

    # Going back leaves the role: somebody may hold it.
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
