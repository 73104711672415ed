"""What `tiers_passed` says of a release, and since when it soaks there: since it succeeded, or later became healthy again.

A faulty lane soaks nothing (`soaks_since` is null). What a newer release has replaced there is counted from its success.
Watched closely is a release while or after which its lane was. The version before reads the first four columns, which
are as they were: so there is nothing to take back.
"""

from django.db import migrations

from apps.core.row_level_security import SCOPE, definer

TIERS_PASSED = f"""
DROP FUNCTION tiers_passed(uuid);
CREATE FUNCTION tiers_passed(asked uuid)
    RETURNS TABLE (tier text, passed_at timestamptz, environment text, number bigint, soaks_since timestamptz,
        watched_closely boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT ON (e.tier) e.tier, p.ended_at, e.name, p.number,
        CASE WHEN l.live_release_id IS DISTINCT FROM r.id THEN p.ended_at
             WHEN l.health = 'FAULTY' THEN NULL
             WHEN l.health = 'HEALTHY' THEN greatest(p.ended_at, l.health_since)
             ELSE p.ended_at END,
        COALESCE(l.close_watch_until > p.ended_at, false)
    FROM public.releases_release r
    JOIN public.approvals_promotion p ON p.release_id = r.id AND p.workspace_id = r.workspace_id
    JOIN public.environments_lane l ON l.id = p.lane_id AND l.service_id = r.service_id
    JOIN public.environments_environment e ON e.id = l.environment_id
    WHERE r.id = asked AND p.state = 'COMPLETED' AND l.rolled_back_from_id IS DISTINCT FROM r.id
      AND (r.is_published OR COALESCE(r.workspace_id = ANY ({SCOPE}), false))
    ORDER BY e.tier, p.ended_at DESC
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0004_requirement_ended_at"),
        ("environments", "0013_lanes_watched_closely"),
    ]

    operations = [migrations.RunSQL(TIERS_PASSED, migrations.RunSQL.noop), definer("tiers_passed(uuid)")]
