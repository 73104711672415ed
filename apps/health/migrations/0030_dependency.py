from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("health", "0011_claim_endpoint_checks")]

    operations = [
        migrations.CreateModel(
            name="Dependency",
            fields=[
                ("name", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("looked_at", models.DateTimeField()),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("down_since", models.DateTimeField(blank=True, null=True)),
                ("detail", models.CharField(blank=True, max_length=300)),
            ],
        ),
    ]
