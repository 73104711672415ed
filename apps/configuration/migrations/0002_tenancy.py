"""Row-level security; a configuration version never changes."""

from django.db import migrations

from apps.core.row_level_security import immutable, protect, same_workspace


class Migration(migrations.Migration):
    dependencies = [("configuration", "0001_initial"), ("environments", "0003_tenancy")]

    operations = [
        protect("configuration_configurationversion"),
        same_workspace("configuration_configurationversion", "lane_id", "environments_lane"),
        immutable("configuration_configurationversion"),
    ]
