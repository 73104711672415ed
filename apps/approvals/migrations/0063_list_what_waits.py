"""What waits is listed in the order of two indexes, and read no further than it is shown."""

from django.db import migrations, models

WAITING = models.Q(("state__in", ("PENDING", "READY", "DEPLOYING")))
NEWEST = ["-requested_at", "-id"]


class Migration(migrations.Migration):
    dependencies = [("approvals", "0062_waivers_of_environments")]

    operations = [
        migrations.RemoveIndex(model_name="promotion", name="promotion_waiting"),
        migrations.AddIndex(
            "promotion", models.Index(condition=WAITING, fields=["workspace", *NEWEST], name="promotion_waiting")
        ),
        migrations.AddIndex(
            "promotion", models.Index(condition=WAITING, fields=NEWEST, name="promotion_newest_waiting")
        ),
    ]
