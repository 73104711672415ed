"""An address has one open account at most: the database says so now, and not only the action that makes one."""

from django.core.management import CommandError
from django.db import migrations, models
from django.db.models import Count, Q
from django.db.models.functions import Upper

OPEN = Q(is_active=True) & ~Q(email="")


def refuse_twins(apps, schema_editor):
    """Say which accounts share an address: which of them is the person's is for people to say."""
    accounts = apps.get_model("accounts", "User").objects.filter(OPEN).annotate(address=Upper("email"))
    shared = accounts.values("address").annotate(n=Count("pk")).filter(n__gt=1).values("address")
    names = {}
    for address, username in (
        accounts.filter(address__in=shared).order_by("username").values_list("address", "username")
    ):
        names.setdefault(address, []).append(username)
    if not names:
        return
    twins = "\n".join(f"  {', '.join(usernames)}: {address.lower()}" for address, usernames in sorted(names.items()))
    raise CommandError(
        f"These open accounts share an e-mail address, and one person with two accounts would count twice:\n{twins}\n"
        "Of each line, close all but one with the release that runs now, then migrate again:\n"
        '  manage.py close_account USERNAME --reason "..."\n'
        "Nothing was changed."
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_keepers_of_the_trail")]

    operations = [
        migrations.RunPython(refuse_twins, migrations.RunPython.noop),
        migrations.AddConstraint(
            "user",
            models.UniqueConstraint(
                Upper("email"),
                name="user_email_once",
                condition=OPEN,
                violation_error_message="There is an account with this address already.",
            ),
        ),
    ]
