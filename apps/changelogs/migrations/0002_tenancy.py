from django.db import migrations

from apps.core.row_level_security import protect, publish, same_workspace


class Migration(migrations.Migration):
    dependencies = [("changelogs", "0001_initial"), ("releases", "0002_tenancy")]

    operations = [
        protect("changelogs_changelogentry"),
        publish("changelogs_changelogentry"),
        same_workspace("changelogs_changelogentry", "release_id", "releases_release"),
    ]
