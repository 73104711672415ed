"""What the answers to endpoint checks say that they come from: the engine's to write, so the net lets it pass."""

from django.db import migrations, models

from apps.audit.net import govern

ENGINES = ("next_check_at", "leased_until", "detail", "bad_in_a_row", "checked_at", "verdict_since")

before = govern("health_endpointcheck", unwatched=ENGINES)
net = govern("health_endpointcheck", unwatched=(*ENGINES, "seen_version", "seen_at"))


class Migration(migrations.Migration):
    dependencies = [("health", "0053_troubles"), ("audit", "0006_net")]

    operations = [
        migrations.AddField(
            model_name="endpointcheck",
            name="seen_version",
            field=models.CharField(blank=True, db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="endpointcheck", name="seen_at", field=models.DateTimeField(blank=True, null=True)
        ),
        migrations.RunSQL(f"{before.reverse_sql}{net.sql}", f"{net.reverse_sql}{before.sql}"),
    ]
