import uuid

import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import protect, same_workspace

SOURCES = [("PROXY", "The portal's proxy"), ("PROMETHEUS", "Prometheus")]


class Migration(migrations.Migration):
    dependencies = [
        ("health", "0050_close_watches"),
        ("environments", "0013_lanes_watched_closely"),
        ("releases", "0002_tenancy"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="TrafficQueries",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("source", models.CharField(blank=True, choices=SOURCES, max_length=10)),
                ("requests", models.CharField(blank=True, max_length=2000)),
                ("error_ratio", models.CharField(blank=True, max_length=2000)),
                ("p95_ms", models.CharField(blank=True, max_length=2000)),
                ("changed_at", models.DateTimeField()),
                (
                    "lane",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="traffic_queries",
                        to="environments.lane",
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="releases.service",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("workspace", "service"), name="traffic_queries_once_of_service"),
                    models.UniqueConstraint(fields=("lane",), name="traffic_queries_once_of_lane"),
                    models.CheckConstraint(
                        condition=models.Q(("lane", None), ("service__isnull", False))
                        | models.Q(("lane__isnull", False), ("service", None)),
                        name="traffic_queries_of_one",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("source__in", ["", "PROXY", "PROMETHEUS"])),
                        name="traffic_queries_source_known",
                    ),
                ],
            },
        ),
        protect("health_trafficqueries"),
        same_workspace("health_trafficqueries", "lane_id", "environments_lane"),
    ]
