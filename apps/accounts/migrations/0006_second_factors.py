"""Second factors of people, their recovery codes, and what they may still try."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_senior_engineer"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="failed_proof_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="user",
            name="failed_proofs",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="user",
            name="last_challenge",
            field=models.BigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.CreateModel(
            name="RecoveryCode",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="recovery_codes",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("user", "digest"), name="recovery_code_once")],
            },
        ),
        migrations.CreateModel(
            name="SecondFactor",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(choices=[("TOTP", "Authenticator app"), ("PASSKEY", "Passkey")], max_length=7),
                ),
                ("name", models.CharField(max_length=60)),
                ("registered_at", models.DateTimeField()),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ("secret", models.BinaryField(null=True)),
                ("last_step", models.BigIntegerField(null=True)),
                ("credential_id", models.BinaryField(null=True, unique=True)),
                ("credential", models.BinaryField(null=True)),
                ("sign_count", models.BigIntegerField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="second_factors",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["registered_at", "pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("credential", None),
                                ("credential_id", None),
                                ("kind", "TOTP"),
                                ("last_step__isnull", False),
                                ("secret__isnull", False),
                                ("sign_count", None),
                            ),
                            models.Q(
                                ("credential__isnull", False),
                                ("credential_id__isnull", False),
                                ("kind", "PASSKEY"),
                                ("last_step", None),
                                ("secret", None),
                                ("sign_count__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="factor_whole",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "TOTP")), fields=("user",), name="factor_app_once"
                    ),
                ],
            },
        ),
    ]
