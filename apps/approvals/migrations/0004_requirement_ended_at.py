from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0003_tiers_passed")]

    operations = [
        migrations.AddField("requirement", "ended_at", models.DateTimeField(null=True, blank=True)),
    ]
