"""How long requests, tasks and steps took, added up over all processes (ADR 0122)."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0001_idempotent_requests")]

    operations = [
        migrations.CreateModel(
            name="Timing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("family", models.CharField(max_length=40)),
                ("labels", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("counts", django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ("seconds", models.FloatField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("family", "labels"), name="timing_once")],
            },
        ),
    ]
