import uuid
from zoneinfo import available_timezones

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models

from apps.accounts.enums import Capability, Theme


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

    class Meta(AbstractUser.Meta):
        constraints = [models.CheckConstraint(name="user_theme_known", condition=models.Q(theme__in=Theme.values))]

    def __str__(self) -> str:
        return self.display_name or self.username

    @property
    def initials(self) -> str:
        return "".join(word[0] for word in str(self).split()[:2]).upper()


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
