from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("environments", "0011_lanes_elsewhere")]

    operations = [
        migrations.AddField("lane", "drift", models.CharField(blank=True, max_length=300)),
        migrations.AddField("lane", "drift_since", models.DateTimeField(blank=True, null=True)),
    ]
