import uuid
from zoneinfo import available_timezones

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Upper

from apps.accounts.enums import Capability, FactorKind, Theme


def validate_time_zone(value: str) -> None:
    if value and value not in available_timezones():
        raise ValidationError("“%(value)s” is not an IANA time zone, such as Europe/Berlin.", params={"value": value})


class User(AbstractUser):
    """A person. Never deleted: the ledger and every decision name people for ever; who leaves is deactivated."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    display_name = models.CharField(max_length=120)
    theme = models.CharField(max_length=5, choices=Theme, default=Theme.AUTO)
    time_zone = models.CharField(max_length=64, blank=True, validators=[validate_time_zone])
    single_key_shortcuts = models.BooleanField(default=True)
    # What somebody may try when they confirm that it is them (apps/accounts/actions/confirmations.py).
    failed_proofs = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    failed_proof_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_challenge = models.BigIntegerField(default=0, db_default=0, editable=False)

    class Meta(AbstractUser.Meta):
        constraints = [
            models.CheckConstraint(name="user_theme_known", condition=models.Q(theme__in=Theme.values)),
            # One person with two open accounts would count twice. Compared as `email__iexact` does, so that it is the
            # index of who looks a person up by the address; a closed account leaves it to the next one.
            models.UniqueConstraint(
                Upper("email"), name="user_email_once", condition=models.Q(is_active=True) & ~models.Q(email=""),
                violation_error_message="There is an account with this address already.",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.display_name or self.username

    @property
    def initials(self) -> str:
        return "".join(word[0] for word in str(self).split()[:2]).upper()


class SecondFactor(models.Model):
    """What somebody has beside their password: an authenticator app, or a passkey. Removed with its secret.

    `secret` is sealed (apps/core/sealing.py); `last_step` is the last one whose code was used (Unit: 30 s).
    `credential` is a passkey's id and public key as FIDO2 writes them; `sign_count` the last one that was seen.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="second_factors")
    kind = models.CharField(max_length=7, choices=FactorKind)
    name = models.CharField(max_length=60)
    registered_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    secret = models.BinaryField(null=True)
    last_step = models.BigIntegerField(null=True)
    credential_id = models.BinaryField(null=True, unique=True)
    credential = models.BinaryField(null=True)
    sign_count = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["registered_at", "pk"]
        constraints = [
            models.CheckConstraint(
                name="factor_whole",
                condition=models.Q(
                    kind=FactorKind.TOTP, secret__isnull=False, last_step__isnull=False,
                    credential_id=None, credential=None, sign_count=None,
                ) | models.Q(
                    kind=FactorKind.PASSKEY, secret=None, last_step=None,
                    credential_id__isnull=False, credential__isnull=False, sign_count__isnull=False,
                ),
            ),
            models.UniqueConstraint(
                name="factor_app_once", fields=["user"], condition=models.Q(kind=FactorKind.TOTP)
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name


class RecoveryCode(models.Model):
    """Stands in once for second factors that are lost. `digest` is the SHA-256 of its text, which is not kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="recovery_codes")
    digest = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(name="recovery_code_once", fields=["user", "digest"])]

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class Role(models.Model):
    """What somebody who holds it may do in a workspace: data, so that an installation can add its own."""

    code = models.CharField(max_length=40, primary_key=True)
    label = models.CharField(max_length=60)
    capabilities = ArrayField(models.CharField(max_length=40, choices=Capability))
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "code"]

    def __str__(self) -> str:
        return self.label
