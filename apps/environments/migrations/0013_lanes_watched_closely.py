from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("environments", "0012_lanes_drift")]

    operations = [
        migrations.AddField("lane", "close_watch_since", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("lane", "close_watch_until", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("lane", "close_watch_reason", models.CharField(blank=True, max_length=300)),
        migrations.AddField("lane", "close_watch_by", models.CharField(blank=True, max_length=150)),
        migrations.AddConstraint(
            "lane",
            models.CheckConstraint(
                name="lane_close_watch_whole",
                condition=Q(close_watch_since=None, close_watch_until=None, close_watch_reason="", close_watch_by="")
                | (Q(close_watch_until__gt=F("close_watch_since")) & ~Q(close_watch_reason="") & ~Q(close_watch_by="")),
            ),
        ),
    ]
