"""What was answered for, is being answered, or was never heard to be well is no lane to judge anew in every sweep."""

from importlib import import_module

from django.db import migrations

before = import_module("apps.deployments.migrations.0066_hurt_by_troubles")

LANES_THAT_HURT = """
CREATE OR REPLACE FUNCTION lanes_that_hurt(watch interval, severities text[]) RETURNS TABLE (workspace_id uuid, id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT l.workspace_id, l.id
    FROM public.health_trouble trouble
    JOIN public.environments_lane l ON l.id = trouble.lane_id AND l.removed_at IS NULL
    CROSS JOIN LATERAL (
        SELECT d.id, d.kind, COALESCE(d.started_at, d.requested_at) AS began, d.ended_at, d.alarmed_at
        FROM public.deployments_deployment d
        WHERE d.lane_id = l.id AND d.state = 'SUCCEEDED' ORDER BY d.number DESC LIMIT 1
    ) serving
    WHERE trouble.stands AND (trouble.severity IS NULL OR trouble.severity = ANY (severities))
        AND serving.kind <> 'ROLLBACK' AND trouble.since >= serving.began
        AND (trouble.heard_at IS NULL OR trouble.heard_at >= serving.ended_at)
        AND (serving.alarmed_at IS NULL OR serving.alarmed_at < serving.ended_at)
        AND GREATEST(serving.ended_at + watch, l.close_watch_until) > clock_timestamp()
        AND NOT EXISTS (SELECT FROM public.deployments_deployment d
            WHERE d.lane_id = l.id AND (d.ended_at IS NULL OR d.rolls_back_id = serving.id))
        AND trouble.is_proved
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("deployments", "0066_hurt_by_troubles")]

    operations = [migrations.RunSQL(LANES_THAT_HURT, before.LANES_THAT_HURT)]
