"""The span in which an attempt was asked for (ADR 0117)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0068_rollouts_span_workspaces")]

    operations = [
        migrations.AddField(
            model_name="deployment",
            name="traceparent",
            field=models.CharField(blank=True, db_default="", default="", max_length=55),
        ),
    ]
