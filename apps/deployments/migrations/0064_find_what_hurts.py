"""Lanes whose newest release may be to blame for what is wrong there now, found from what is wrong."""

from django.db import migrations

from apps.core.row_level_security import definer

LANES_THAT_HURT = """
CREATE FUNCTION lanes_that_hurt(watch interval, severities text[]) RETURNS TABLE (workspace_id uuid, id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT l.workspace_id, l.id
    FROM (
        SELECT lane.id AS lane_id, lane.health_since AS since
            FROM public.environments_lane lane WHERE lane.health = 'FAULTY'
        UNION ALL SELECT c.lane_id, c.verdict_since
            FROM public.health_endpointcheck c WHERE c.verdict = 'FAULTY' AND c.rolls_back
        UNION ALL SELECT a.lane_id, a.starts_at
            FROM public.health_alert a WHERE a.ends_at IS NULL AND a.severity = ANY (severities)
    ) trouble
    JOIN public.environments_lane l ON l.id = trouble.lane_id AND l.removed_at IS NULL
    CROSS JOIN LATERAL (
        SELECT d.kind, COALESCE(d.started_at, d.requested_at) AS began, d.ended_at, d.alarmed_at
        FROM public.deployments_deployment d
        WHERE d.lane_id = l.id AND d.state = 'SUCCEEDED' ORDER BY d.number DESC LIMIT 1
    ) serving
    WHERE serving.kind <> 'ROLLBACK' AND trouble.since >= serving.began
        AND (serving.alarmed_at IS NULL OR serving.alarmed_at < serving.ended_at)
        AND GREATEST(serving.ended_at + watch, l.close_watch_until) > clock_timestamp()
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("deployments", "0063_alarms"), ("health", "0052_checks_roll_back")]

    operations = [
        migrations.RunSQL(LANES_THAT_HURT, "DROP FUNCTION lanes_that_hurt(interval, text[])"),
        definer("lanes_that_hurt(interval, text[])"),
    ]
