from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("environments", "0003_tenancy")]

    operations = [
        migrations.AddField("lane", "address", models.JSONField(blank=True, default=dict)),
        migrations.AddConstraint(
            "lane",
            models.CheckConstraint(
                name="lane_helm_has_address",
                condition=~models.Q(executor="helm") | models.Q(address__has_keys=["cluster", "namespace"]),
            ),
        ),
    ]
