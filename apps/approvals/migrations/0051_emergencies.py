"""A promotion may be asked for as an emergency, for an incident of its workspace. That never changes."""

import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import same_workspace


class Migration(migrations.Migration):
    dependencies = [("approvals", "0050_tiers_soaked"), ("incidents", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="promotion",
            name="incident",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="promotions",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="promotion", name="was_emergency", field=models.BooleanField(default=False, db_default=False)
        ),
        same_workspace("approvals_promotion", "incident_id", "incidents_incident"),
    ]
