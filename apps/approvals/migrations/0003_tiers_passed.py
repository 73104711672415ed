"""What a release has behind it, asked past the scope: a customer's promotion depends on the platform's tiers.

Answers only for releases that the asker may see anyway, and only with where and when the release's owner ran them.
What was rolled back there last counts for nothing.
"""

from django.db import migrations

from apps.core.row_level_security import SCOPE, definer

TIERS_PASSED = f"""
CREATE FUNCTION tiers_passed(asked uuid) RETURNS TABLE (tier text, passed_at timestamptz, environment text, number bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT ON (e.tier) e.tier, p.ended_at, e.name, p.number
    FROM public.releases_release r
    JOIN public.approvals_promotion p ON p.release_id = r.id AND p.workspace_id = r.workspace_id
    JOIN public.environments_lane l ON l.id = p.lane_id AND l.service_id = r.service_id
    JOIN public.environments_environment e ON e.id = l.environment_id
    WHERE r.id = asked AND p.state = 'COMPLETED' AND l.rolled_back_from_id IS DISTINCT FROM r.id
      AND (r.is_published OR COALESCE(r.workspace_id = ANY ({SCOPE}), false))
    ORDER BY e.tier, p.ended_at DESC
$$;
GRANT SELECT ON releases_release, approvals_promotion, environments_lane, environments_environment TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0002_tenancy"), ("environments", "0003_tenancy"), ("releases", "0002_tenancy")]

    operations = [
        migrations.RunSQL(TIERS_PASSED, "DROP FUNCTION tiers_passed(uuid);"),
        definer("tiers_passed(uuid)"),
    ]
