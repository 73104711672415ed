"""One view says what is or was wrong in a lane: by it a release is taken back, soaks, and goes on to the next wave.

Whoever asks sees no more of it than of the tables below (`security_invoker`).
"""

import django.db.models.deletion
from django.db import migrations, models

TROUBLES = """
CREATE VIEW health_trouble WITH (security_invoker = true) AS
    SELECT lane.id, lane.workspace_id, lane.id AS lane_id, '' AS name, lane.health_detail AS detail,
        NULL AS severity, lane.health = 'FAULTY' AS stands, lane.health_since AS since,
        lane.health_checked_at AS heard_at,
        EXISTS (SELECT FROM health_healthsample s WHERE s.lane_id = lane.id AND s.verdict = 'HEALTHY') AS is_proved
    FROM environments_lane lane WHERE lane.health <> 'UNKNOWN'
    UNION ALL
    SELECT c.id, c.workspace_id, c.lane_id, c.name, c.detail, NULL, c.verdict = 'FAULTY', c.verdict_since, c.checked_at,
        EXISTS (SELECT FROM health_endpointsample s WHERE s.endpoint_id = c.id AND s.verdict = 'HEALTHY')
    FROM health_endpointcheck c WHERE c.verdict <> 'UNKNOWN' AND c.rolls_back AND c.url NOT LIKE 'tls:%'
    UNION ALL
    SELECT a.id, a.workspace_id, a.lane_id, a.name, a.summary, a.severity, a.ends_at IS NULL,
        COALESCE(a.ends_at, a.starts_at), NULL, true
    FROM health_alert a;
GRANT SELECT ON health_trouble TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("health", "0052_checks_roll_back")]

    operations = [
        migrations.RunSQL(TROUBLES, "DROP VIEW health_trouble"),
        migrations.CreateModel(
            name="Trouble",
            fields=[
                ("id", models.UUIDField(primary_key=True)),
                ("workspace_id", models.UUIDField()),
                ("name", models.TextField()),
                ("detail", models.TextField()),
                ("severity", models.TextField(null=True)),
                ("stands", models.BooleanField()),
                ("since", models.DateTimeField()),
                ("heard_at", models.DateTimeField(null=True)),
                ("is_proved", models.BooleanField()),
                (
                    "lane",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.DO_NOTHING, related_name="troubles", to="environments.lane"
                    ),
                ),
            ],
            options={"db_table": "health_trouble", "ordering": ["since", "id"], "managed": False},
        ),
    ]
