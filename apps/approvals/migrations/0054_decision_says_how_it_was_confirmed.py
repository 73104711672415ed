"""A decision says how whoever took it confirmed that it is them."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0053_waivers"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="decision",
            name="confirmed_with",
            field=models.CharField(
                blank=True,
                choices=[
                    ("PASSKEY", "a passkey"),
                    ("TOTP", "an authenticator app"),
                    ("RECOVERY_CODE", "a recovery code"),
                    ("PASSWORD", "the password"),
                ],
                db_default="",
                default="",
                max_length=13,
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("confirmed_with", ""),
                    ("confirmed_with__in", ["PASSKEY", "TOTP", "RECOVERY_CODE", "PASSWORD"]),
                    _connector="OR",
                ),
                name="decision_proof_known",
            ),
        ),
    ]
