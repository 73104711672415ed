"""The lowest version of TLS that an address took; written by workers as the rest of an answer, so nobody's decision."""

from django.db import migrations, models

from apps.audit.net import govern

TABLE = "health_endpointcheck"
UNWATCHED = (
    "next_check_at", "leased_until", "detail", "bad_in_a_row", "checked_at", "verdict_since", "seen_version", "seen_at",
)  # fmt: skip
BEFORE = govern(TABLE, unwatched=UNWATCHED)


class Migration(migrations.Migration):
    dependencies = [("health", "0054_checks_name_versions"), ("audit", "0006_net")]

    operations = [
        migrations.AddField(
            model_name="endpointcheck",
            name="tls",
            field=models.CharField(blank=True, db_default="", max_length=8),
        ),
        migrations.RunSQL(BEFORE.reverse_sql, BEFORE.sql),
        govern(TABLE, unwatched=(*UNWATCHED, "tls")),
    ]
