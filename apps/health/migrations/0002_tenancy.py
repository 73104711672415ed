from django.db import migrations

from apps.core.row_level_security import protect, same_workspace


class Migration(migrations.Migration):
    dependencies = [("health", "0001_initial"), ("environments", "0003_tenancy")]

    operations = [
        protect("health_healthcheck"),
        protect("health_healthsample"),
        same_workspace("health_healthcheck", "lane_id", "environments_lane"),
        same_workspace("health_healthsample", "lane_id", "environments_lane"),
    ]
