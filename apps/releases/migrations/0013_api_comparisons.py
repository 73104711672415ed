"""What differs between two API descriptions, found once for each pair; and two questions that are asked past the scope."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

from apps.core.row_level_security import SCOPE, definer, immutable, protect, same_workspace

# The description of a release that counts: the newest of the artifact that it was sealed with.
DESCRIPTION = """LATERAL (
        SELECT e.sha256 FROM public.releases_evidence e
        WHERE e.release_id = {release}.id AND e.artifact_digest = {release}.artifact_digest AND e.kind = 'OPENAPI'
        ORDER BY e.received_at DESC, e.id DESC LIMIT 1
    ) {name}"""
OLD, NEW = DESCRIPTION.format(release="o", name="od"), DESCRIPTION.format(release="n", name="nd")
# Releases that run in a Production.
RUNS = """
    SELECT l.live_release_id, l.live_since, l.workspace_id, l.service_id
    FROM public.environments_lane l
    JOIN public.environments_environment e ON e.id = l.environment_id
    WHERE e.tier = 'PRODUCTION' AND e.destroyed_at IS NULL AND l.removed_at IS NULL AND l.live_release_id IS NOT NULL
"""

DUE = f"""
CREATE FUNCTION api_comparisons_due(one uuid)
    RETURNS TABLE (workspace_id uuid, old_release uuid, new_release uuid, old_sha256 text, new_sha256 text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT ON (n.workspace_id, od.sha256, nd.sha256) n.workspace_id, o.id, n.id, od.sha256, nd.sha256
    FROM (SELECT DISTINCT live_release_id FROM ({RUNS}) lanes) runs
    JOIN public.releases_release o ON o.id = runs.live_release_id
    JOIN public.releases_release n ON n.service_id = o.service_id AND n.state = 'SEALED'
        AND (n.major, n.minor, n.patch, n.precedence) > (o.major, o.minor, o.patch, o.precedence)
    CROSS JOIN {OLD}
    CROSS JOIN {NEW}
    LEFT JOIN public.releases_apicomparison c
        ON c.workspace_id = n.workspace_id AND c.old_sha256 = od.sha256 AND c.new_sha256 = nd.sha256
    WHERE (one IS NULL OR one IN (n.id, o.id)) AND od.sha256 <> nd.sha256 AND c.finished_at IS NULL
        AND (c.claimed_until IS NULL OR c.claimed_until < clock_timestamp())
    ORDER BY n.workspace_id, od.sha256, nd.sha256, n.created_at DESC
    LIMIT 20
$$;
GRANT SELECT ON releases_apicomparison, releases_evidence, releases_release, environments_lane, environments_environment
    TO eaip_gate;
"""

BESIDE = f"""
CREATE FUNCTION api_beside(asked uuid, beside uuid)
    RETURNS TABLE (version text, major int, minor int, patch int, precedence text, new_sha256 text, old_sha256 text,
        finished_at timestamptz, is_whole boolean, breaking int, undecided int, compatible int, breaking_in jsonb,
        undecided_in jsonb, removed jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT o.version, o.major, o.minor, o.patch, o.precedence, nd.sha256, od.sha256, c.finished_at, c.is_whole,
        c.breaking, c.undecided, c.compatible, c.breaking_in, c.undecided_in, c.removed
    FROM public.releases_release n
    JOIN public.releases_release o ON o.service_id = n.service_id AND o.id = COALESCE(beside, (
        SELECT runs.live_release_id FROM ({RUNS}) runs
        WHERE runs.workspace_id = n.workspace_id AND runs.service_id = n.service_id
        ORDER BY runs.live_since DESC, runs.live_release_id LIMIT 1))
    LEFT JOIN {OLD} ON true
    LEFT JOIN {NEW} ON true
    LEFT JOIN public.releases_apicomparison c
        ON c.workspace_id = n.workspace_id AND c.old_sha256 = od.sha256 AND c.new_sha256 = nd.sha256
    WHERE n.id = asked AND (n.is_published OR COALESCE(n.workspace_id = ANY ({SCOPE}), false))
        AND (o.is_published OR COALESCE(o.workspace_id = ANY ({SCOPE}), false))
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("environments", "0014_lane_port"),
        ("releases", "0012_api_descriptions"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiComparison",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("old_sha256", models.CharField(max_length=64)),
                ("new_sha256", models.CharField(max_length=64)),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("is_whole", models.BooleanField(default=True)),
                ("breaking", models.PositiveIntegerField(default=0)),
                ("undecided", models.PositiveIntegerField(default=0)),
                ("compatible", models.PositiveIntegerField(default=0)),
                ("breaking_in", models.JSONField(default=list)),
                ("undecided_in", models.JSONField(default=list)),
                ("removed", models.JSONField(default=list)),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("workspace", "old_sha256", "new_sha256"), name="api_compared_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ApiChange",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("rank", models.PositiveIntegerField()),
                ("operation", models.CharField(max_length=300)),
                ("place", models.CharField(blank=True, max_length=300)),
                ("rule", models.CharField(max_length=60)),
                (
                    "effect",
                    models.CharField(
                        choices=[
                            ("BREAKING", "Breaking"),
                            ("UNDECIDED", "Needs a person"),
                            ("COMPATIBLE", "Compatible"),
                        ],
                        max_length=10,
                    ),
                ),
                ("sentence", models.CharField(max_length=500)),
                ("sunset_date", models.DateField(blank=True, null=True)),
                (
                    "comparison",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="changes",
                        to="releases.apicomparison",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["-rank"],
                "constraints": [
                    models.UniqueConstraint(fields=("comparison", "rank"), name="api_change_rank_once"),
                    models.CheckConstraint(
                        condition=models.Q(("effect__in", ["BREAKING", "UNDECIDED", "COMPATIBLE"])),
                        name="api_change_effect_known",
                    ),
                ],
            },
        ),
        protect("releases_apicomparison"),
        immutable("releases_apicomparison", when="OLD.finished_at IS NOT NULL"),
        protect("releases_apichange"),
        same_workspace("releases_apichange", "comparison_id", "releases_apicomparison"),
        immutable("releases_apichange"),
        migrations.RunSQL(DUE, "DROP FUNCTION api_comparisons_due(uuid);"),
        definer("api_comparisons_due(uuid)"),
        migrations.RunSQL(BESIDE, "DROP FUNCTION api_beside(uuid, uuid);"),
        definer("api_beside(uuid, uuid)"),
    ]
