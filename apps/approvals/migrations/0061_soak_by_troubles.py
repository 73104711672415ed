"""A release soaks while nothing is wrong where it does: no check faulty that may take it back, no alert firing that may.

It soaks since it succeeded, or since the last of these was over. What a newer release has replaced there is counted from
its success. The version before asks without severities, and is told as it was but for endpoint checks.
"""

from importlib import import_module

from django.db import migrations

from apps.core.row_level_security import SCOPE, definer

before = import_module("apps.approvals.migrations.0050_tiers_soaked")
BEFORE = before.TIERS_PASSED.replace("DROP FUNCTION tiers_passed(uuid)", "DROP FUNCTION tiers_passed(uuid, text[])")

TIERS_PASSED = f"""
DROP FUNCTION tiers_passed(uuid);
CREATE FUNCTION tiers_passed(asked uuid, severities text[] DEFAULT '{{}}')
    RETURNS TABLE (tier text, passed_at timestamptz, environment text, number bigint, soaks_since timestamptz,
        watched_closely boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT ON (e.tier) e.tier, p.ended_at, e.name, p.number,
        CASE WHEN l.live_release_id IS DISTINCT FROM r.id THEN p.ended_at
             WHEN wrong.stands THEN NULL
             ELSE greatest(p.ended_at, wrong.since) END,
        COALESCE(l.close_watch_until > p.ended_at, false)
    FROM public.releases_release r
    JOIN public.approvals_promotion p ON p.release_id = r.id AND p.workspace_id = r.workspace_id
    JOIN public.environments_lane l ON l.id = p.lane_id AND l.service_id = r.service_id
    JOIN public.environments_environment e ON e.id = l.environment_id
    CROSS JOIN LATERAL (
        SELECT bool_or(t.stands) AS stands, max(t.since) AS since FROM public.health_trouble t
        WHERE t.lane_id = l.id AND (t.severity IS NULL OR t.severity = ANY (severities))
    ) wrong
    WHERE r.id = asked AND p.state = 'COMPLETED' AND l.rolled_back_from_id IS DISTINCT FROM r.id
      AND (r.is_published OR COALESCE(r.workspace_id = ANY ({SCOPE}), false))
    ORDER BY e.tier, p.ended_at DESC
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0060_void_once"), ("health", "0053_troubles")]

    operations = [
        migrations.RunSQL(TIERS_PASSED, BEFORE + definer("tiers_passed(uuid)").sql),
        definer("tiers_passed(uuid, text[])"),
    ]
