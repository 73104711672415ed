"""The one who approves an emergency, as the deployment policies name them."""

from django.db import migrations

CODE = "SENIOR_ENGINEER"
CAPABILITIES = ["PROMOTION_REQUEST", "PROMOTION_DECIDE", "INCIDENT_HANDLE", "AUDIT_READ"]


def add(apps, schema_editor):
    apps.get_model("accounts", "Role").objects.get_or_create(
        code=CODE, defaults={"label": "Senior engineer", "capabilities": CAPABILITIES, "position": 6}
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_incidents_are_handled_by_roles")]

    # Going back leaves the role: somebody may hold it.
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
