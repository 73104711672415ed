"""The span in which an attempt was asked for (ADR 0122)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0069_guest_parts")]

    operations = [
        migrations.AddField(
            model_name="deployment",
            name="traceparent",
            field=models.CharField(blank=True, db_default="", default="", max_length=55),
        ),
    ]
