from django.db import migrations, models

KINDS = [("WHEELS", "Hash-locked wheels"), ("SOURCE", "Built from source on push"), ("CHART", "Helm chart")]


class Migration(migrations.Migration):
    dependencies = [("releases", "0004_pushes_become_releases")]

    operations = [
        migrations.AlterField("artifact", "kind", models.CharField(choices=KINDS, max_length=8)),
        migrations.AlterField(
            "service", "artifact_kind", models.CharField(choices=KINDS, default="WHEELS", max_length=8)
        ),
    ]
