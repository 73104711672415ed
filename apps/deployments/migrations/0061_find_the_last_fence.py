"""The last fence of a lane is found without reading all of its attempts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0060_verification")]

    operations = [
        migrations.AddIndex("deployment", models.Index(fields=["lane", "-fence"], name="deployment_by_fence")),
    ]
