"""Who answers for releases, for their operation and for their security handles incidents; a customer's operator theirs."""

import django.contrib.postgres.fields
from django.db import migrations, models

ROLES = ("ENGINEERING_MANAGER", "DEVOPS", "SECURITY", "CUSTOMER_OPERATOR")


def give(apps, schema_editor):
    for role in apps.get_model("accounts", "Role").objects.filter(code__in=ROLES):
        role.capabilities = [*role.capabilities, "INCIDENT_HANDLE"]
        role.save(update_fields=["capabilities"])


def take(apps, schema_editor):
    for role in apps.get_model("accounts", "Role").objects.filter(capabilities__contains=["INCIDENT_HANDLE"]):
        role.capabilities = [capability for capability in role.capabilities if capability != "INCIDENT_HANDLE"]
        role.save(update_fields=["capabilities"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_policies_are_changed_by_roles")]

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
                    ],
                    max_length=40,
                ),
                size=None,
            ),
        ),
        migrations.RunPython(give, take),
    ]
