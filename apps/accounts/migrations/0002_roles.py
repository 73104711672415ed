"""The roles that the strategy names. Data, so that an installation can add its own."""

from django.db import migrations

ROLES = [
    ("RELEASE_ENGINEER", "Release engineer", ["RELEASE_CREATE", "PROMOTION_REQUEST", "CONFIGURE", "AUDIT_READ"]),
    (
        "ENGINEERING_MANAGER",
        "Engineering manager",
        ["PROMOTION_REQUEST", "PROMOTION_DECIDE", "FREEZE", "DEPLOYMENT_ROLL_BACK", "QUARANTINE", "AUDIT_READ"],
    ),
    (
        "DEVOPS",
        "DevOps",
        [
            "PROMOTION_REQUEST", "PROMOTION_DECIDE", "DEPLOYMENT_OPERATE", "DEPLOYMENT_ROLL_BACK",
            "ENVIRONMENT_MANAGE", "FREEZE", "CONFIGURE", "QUARANTINE", "AUDIT_READ",
        ],
    ),
    ("SECURITY", "Security", ["PROMOTION_DECIDE", "QUARANTINE", "FREEZE", "AUDIT_READ", "AUDIT_EXPORT"]),
    ("AUDITOR", "Auditor", ["AUDIT_READ", "AUDIT_EXPORT"]),
    (
        "CUSTOMER_OPERATOR",
        "Customer's operator",
        ["PROMOTION_REQUEST", "PROMOTION_DECIDE", "DEPLOYMENT_OPERATE", "DEPLOYMENT_ROLL_BACK", "FREEZE", "AUDIT_READ"],
    ),
]  # fmt: skip


def add_roles(apps, schema_editor):
    role = apps.get_model("accounts", "Role")
    for position, (code, label, capabilities) in enumerate(ROLES):
        role.objects.create(code=code, label=label, capabilities=capabilities, position=position)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunPython(add_roles, migrations.RunPython.noop)]
