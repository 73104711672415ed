"""Pushes wait here until they are releases; three questions are asked before a scope is known."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

from apps.core.row_level_security import definer, protect, same_workspace

OWNER = """
CREATE FUNCTION workspace_of_service(service_slug text) RETURNS uuid LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT workspace_id FROM public.releases_service WHERE slug = service_slug AND retired_at IS NULL
$$;
GRANT SELECT ON releases_service TO eaip_gate;
"""

DUE = """
CREATE FUNCTION pushes_due() RETURNS TABLE (workspace_id uuid, id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT p.workspace_id, p.id FROM public.releases_pushedcommit p
    WHERE (p.state = 'RECEIVED' AND (p.claimed_until IS NULL OR p.claimed_until < clock_timestamp()))
        OR (p.state = 'BUILT' AND p.followed_at IS NULL AND p.ref = 'refs/heads/develop')
    ORDER BY p.received_at
$$;
CREATE FUNCTION workspace_of_push(push uuid) RETURNS uuid LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT workspace_id FROM public.releases_pushedcommit WHERE id = push
$$;
GRANT SELECT ON releases_pushedcommit TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("releases", "0003_precedence_by_code_point"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="PushedCommit",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("delivery_id", models.CharField(max_length=64)),
                ("body_digest", models.CharField(max_length=64)),
                ("ref", models.CharField(max_length=200)),
                ("commit", models.CharField(max_length=64)),
                ("pusher_label", models.CharField(max_length=150)),
                ("author_email", models.CharField(blank=True, max_length=254)),
                ("committer_email", models.CharField(blank=True, max_length=254)),
                ("received_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[("RECEIVED", "Waiting to be built"), ("BUILT", "Built"), ("REFUSED", "No release")],
                        default="RECEIVED",
                        max_length=8,
                    ),
                ),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                ("followed_at", models.DateTimeField(blank=True, null=True)),
                ("outcome", models.CharField(blank=True, max_length=300)),
                (
                    "release",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pushes",
                        to="releases.release",
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="pushes", to="releases.service"
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
                "ordering": ["-received_at"],
                "constraints": [
                    models.UniqueConstraint(fields=("service", "delivery_id"), name="push_delivery_once"),
                    models.UniqueConstraint(fields=("service", "body_digest"), name="push_body_once"),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["RECEIVED", "BUILT", "REFUSED"])), name="push_state_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("release", None), ("settled_at", None), ("state", "RECEIVED")),
                            models.Q(("release__isnull", False), ("settled_at__isnull", False), ("state", "BUILT")),
                            models.Q(("release", None), ("settled_at__isnull", False), ("state", "REFUSED")),
                            _connector="OR",
                        ),
                        name="push_settled_whole",
                    ),
                ],
            },
        ),
        protect("releases_pushedcommit"),
        same_workspace("releases_pushedcommit", "service_id", "releases_service"),
        same_workspace("releases_pushedcommit", "release_id", "releases_release"),
        migrations.RunSQL(OWNER, "DROP FUNCTION workspace_of_service(text);"),
        definer("workspace_of_service(text)"),
        migrations.RunSQL(DUE, "DROP FUNCTION pushes_due(); DROP FUNCTION workspace_of_push(uuid);"),
        definer("pushes_due()"),
        definer("workspace_of_push(uuid)"),
    ]
