"""Those who review what not everybody can judge: infrastructure, data, architecture, performance."""

from django.db import migrations

CAPABILITIES = ["PROMOTION_DECIDE", "AUDIT_READ"]
ROLES = {
    "MIGRATION_APPROVER": "Migration approver",
    "CAB": "Change advisory board",
    "ARCHITECTURE_REVIEWER": "Architecture reviewer",
    "PERFORMANCE_REVIEWER": "Performance reviewer",
}


def add(apps, schema_editor):
    role = apps.get_model("accounts", "Role")
    for position, (code, label) in enumerate(ROLES.items(), start=7):
        role.objects.get_or_create(
            code=code, defaults={"label": label, "capabilities": CAPABILITIES, "position": position}
        )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_second_factors")]

    # Going back leaves the roles: somebody may hold them.
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
