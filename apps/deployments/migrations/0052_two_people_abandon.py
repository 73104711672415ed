"""In Production one person proposes to abandon an attempt and another one agrees or declines."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("deployments", "0051_database_epoch"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField("deployment", "abandon_proposed_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "deployment",
            "abandon_proposed_by",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField("deployment", "abandon_reason", models.CharField(blank=True, max_length=300)),
        migrations.AddConstraint(
            "deployment",
            models.CheckConstraint(
                condition=Q(abandon_proposed_at__isnull=True, abandon_proposed_by__isnull=True)
                | Q(abandon_proposed_at__isnull=False, abandon_proposed_by__isnull=False),
                name="deployment_abandon_whole",
            ),
        ),
    ]
