"""Those who answer for the trail decide what is kept of it: not who is judged by it, and not who judges (ADR 0104)."""

import django.contrib.postgres.fields
from django.db import migrations, models

ROLES = ("ENGINEERING_MANAGER", "SECURITY")


def give(apps, schema_editor):
    for role in apps.get_model("accounts", "Role").objects.filter(code__in=ROLES):
        role.capabilities = [*role.capabilities, "AUDIT_KEEP"]
        role.save(update_fields=["capabilities"])


def take(apps, schema_editor):
    for role in apps.get_model("accounts", "Role").objects.filter(capabilities__contains=["AUDIT_KEEP"]):
        role.capabilities = [capability for capability in role.capabilities if capability != "AUDIT_KEEP"]
        role.save(update_fields=["capabilities"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_reviewers")]

    operations = [
        migrations.AlterField(
            model_name="role",
            name="capabilities",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("RELEASE_CREATE", "create, seal and retire releases"),
                        ("PROMOTION_REQUEST", "ask for a promotion"),
                        ("PROMOTION_DECIDE", "approve or reject for their role"),
                        ("DEPLOYMENT_OPERATE", "cancel a deployment, resolve an unknown one, lift holds"),
                        ("DEPLOYMENT_ROLL_BACK", "roll back"),
                        ("ENVIRONMENT_MANAGE", "create and destroy environments, claim resources, set windows"),
                        ("FREEZE", "freeze and unfreeze"),
                        ("CONFIGURE", "write configuration versions"),
                        ("QUARANTINE", "quarantine a release and lift it"),
                        ("INCIDENT_HANDLE", "declare incidents, note what happens and resolve them"),
                        ("POLICY_CHANGE", "propose policies, and decide on those of others"),
                        ("AUDIT_READ", "read the audit trail"),
                        ("AUDIT_EXPORT", "export the audit trail"),
                        (
                            "AUDIT_KEEP",
                            "decide how long the audit trail is kept, hold entries, and erase people's data",
                        ),
                    ],
                    max_length=40,
                ),
                size=None,
            ),
        ),
        migrations.RunPython(give, take),
    ]
