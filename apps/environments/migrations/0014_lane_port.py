from django.db import migrations

# Where the search for a free port of this machine begins: each lane a step further.
SEQUENCE = "CREATE SEQUENCE lane_port MINVALUE 0 MAXVALUE 9999 CYCLE"


class Migration(migrations.Migration):
    dependencies = [("environments", "0013_lanes_watched_closely")]

    operations = [migrations.RunSQL(SEQUENCE, "DROP SEQUENCE lane_port")]
