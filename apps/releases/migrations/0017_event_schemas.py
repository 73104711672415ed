"""Event schemas: what releases publish, who consumes it, two questions past the scope; and what APIs promise to stay."""

import django.db.models.deletion
import uuid
from importlib import import_module
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import SCOPE, definer, immutable, protect, same_workspace

# Of each version the lowest schema that nobody has checked yet: the ones above it are checked beside it.
DUE = """
CREATE FUNCTION event_checks_due() RETURNS TABLE (workspace_id uuid, schema uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT lowest.workspace_id, lowest.id
    FROM (SELECT DISTINCT ON (s.version_id) s.workspace_id, s.id, s.claimed_until
          FROM public.releases_eventschema s WHERE s.checked_at IS NULL ORDER BY s.version_id, s.minor) lowest
    WHERE lowest.claimed_until IS NULL OR lowest.claimed_until < clock_timestamp()
    LIMIT 20
$$;
CREATE INDEX event_schema_unchecked ON releases_eventschema (version_id, minor) WHERE checked_at IS NULL;
GRANT SELECT ON releases_eventsubject, releases_eventversion, releases_eventschema, releases_eventpublication,
    releases_eventconsumer, releases_evidence, releases_release, releases_service, environments_lane,
    environments_environment TO eaip_gate;
"""
# The list of events of a release that counts: the newest of the artifact that it was sealed with.
LISTED = """LATERAL (
        SELECT e.id FROM public.releases_evidence e
        WHERE e.release_id = {release}.id AND e.artifact_digest = {release}.artifact_digest AND e.kind = 'EVENTS'
        ORDER BY e.received_at DESC, e.id DESC LIMIT 1
    ) {name} ON true"""
KINDS = [*import_module("apps.releases.migrations.0016_parts").KINDS, ("EVENTS", "Events (JSON Schema)")]
BESIDE = f"""
CREATE FUNCTION events_beside(asked uuid, beside uuid)
    RETURNS TABLE (version text, is_listed boolean, is_version_listed boolean, subject text, number int, old_minor int,
        new_minor int, is_dropped boolean, consumers text[], is_checked boolean, breaking int, undecided int,
        compatible int, found jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH pair AS (
        SELECT o.version, o.id AS old_id, o.artifact_digest AS old_digest, nl.id AS new_list, ol.id AS old_list
        FROM public.releases_release n
        LEFT JOIN public.releases_release o ON o.service_id = n.service_id AND o.id = COALESCE(beside, (
            SELECT l.live_release_id
            FROM public.environments_lane l
            JOIN public.environments_environment e ON e.id = l.environment_id
            WHERE e.tier = 'PRODUCTION' AND e.destroyed_at IS NULL AND l.removed_at IS NULL
                AND l.live_release_id IS NOT NULL AND l.workspace_id = n.workspace_id AND l.service_id = n.service_id
            ORDER BY l.live_since DESC, l.live_release_id LIMIT 1))
            AND (o.is_published OR COALESCE(o.workspace_id = ANY ({SCOPE}), false))
        LEFT JOIN {LISTED.format(release="n", name="nl")}
        LEFT JOIN {LISTED.format(release="o", name="ol")}
        WHERE n.id = asked AND (n.is_published OR COALESCE(n.workspace_id = ANY ({SCOPE}), false))
    ), listed AS (
        -- What runs is held to every list it ever had: a later one that leaves something out doesn't take it back.
        SELECT s.version_id, max(s.minor) FILTER (WHERE e.release_id = pair.old_id) AS old_minor,
            max(s.minor) FILTER (WHERE e.id = pair.new_list) AS new_minor
        FROM pair
        JOIN public.releases_evidence e ON e.id = pair.new_list
            OR (e.release_id = pair.old_id AND e.artifact_digest = pair.old_digest AND e.kind = 'EVENTS')
        JOIN public.releases_eventpublication p ON p.evidence_id = e.id
        JOIN public.releases_eventschema s ON s.id = p.schema_id
        GROUP BY s.version_id
    )
    SELECT pair.version, pair.new_list IS NOT NULL, pair.old_list IS NOT NULL, subject.name, v.number, listed.old_minor,
        listed.new_minor, v.dropped_at IS NOT NULL,
        ARRAY(SELECT CASE WHEN c.is_published OR COALESCE(c.workspace_id = ANY ({SCOPE}), false)
                THEN c.name::text ELSE 'another service' END
            FROM public.releases_eventconsumer consumer JOIN public.releases_service c ON c.id = consumer.service_id
            WHERE consumer.version_id = v.id AND consumer.ended_at IS NULL ORDER BY c.name LIMIT 50),
        now.checked_at IS NOT NULL, now.breaking, now.undecided, now.compatible, now.found
    FROM pair
    LEFT JOIN listed ON true
    LEFT JOIN public.releases_eventversion v ON v.id = listed.version_id
    LEFT JOIN public.releases_eventsubject subject ON subject.id = v.subject_id
    LEFT JOIN public.releases_eventschema now ON now.version_id = v.id AND now.minor = listed.new_minor
    ORDER BY subject.name, v.number
$$;
"""

NOTICE = """
ALTER TABLE releases_apipromise ADD CONSTRAINT api_promise_notice CHECK (
    sunset_date >= ((announced_at AT TIME ZONE 'UTC')::date + interval '6 months')::date);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("environments", "0015_calendar_feeds"),
        ("releases", "0016_parts"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EventConsumer",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("opted_in_at", models.DateTimeField()),
                ("opted_in_by_label", models.CharField(max_length=150)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by_label", models.CharField(blank=True, max_length=150, null=True)),
            ],
            options={
                "ordering": ["-opted_in_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="EventPublication",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
            ],
        ),
        migrations.CreateModel(
            name="EventSchema",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("minor", models.PositiveIntegerField()),
                ("source", models.TextField()),
                ("digest", models.CharField(max_length=64)),
                ("published_at", models.DateTimeField()),
                ("published_by_label", models.CharField(max_length=150)),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("checked_at", models.DateTimeField(blank=True, null=True)),
                ("is_whole", models.BooleanField(default=True)),
                ("breaking", models.PositiveIntegerField(default=0)),
                ("undecided", models.PositiveIntegerField(default=0)),
                ("compatible", models.PositiveIntegerField(default=0)),
                ("found", models.JSONField(default=list)),
            ],
            options={
                "ordering": ["-minor"],
            },
        ),
        migrations.CreateModel(
            name="EventSubject",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=120)),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="EventVersion",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("number", models.PositiveIntegerField()),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("BACKWARD", "New readers read old events"),
                            ("FORWARD", "Old readers read new events"),
                            ("FULL", "Both read both"),
                        ],
                        max_length=8,
                    ),
                ),
                ("is_closed", models.BooleanField()),
                ("published_at", models.DateTimeField()),
                ("dropped_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-published_at", "-pk"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="evidence",
            name="evidence_kind_known",
        ),
        migrations.AlterField(
            model_name="evidence",
            name="kind",
            field=models.CharField(choices=KINDS, max_length=10),
        ),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", [kind for kind, _ in KINDS])),
                name="evidence_kind_known",
            ),
        ),
        migrations.AddField(
            model_name="eventconsumer",
            name="service",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="consumes", to="releases.service"
            ),
        ),
        migrations.AddField(
            model_name="eventconsumer",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
            ),
        ),
        migrations.AddField(
            model_name="eventpublication",
            name="evidence",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="publications", to="releases.evidence"
            ),
        ),
        migrations.AddField(
            model_name="eventpublication",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
            ),
        ),
        migrations.AddField(
            model_name="eventschema",
            name="release",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="releases.release"
            ),
        ),
        migrations.AddField(
            model_name="eventschema",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
            ),
        ),
        migrations.AddField(
            model_name="eventpublication",
            name="schema",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="publications", to="releases.eventschema"
            ),
        ),
        migrations.AddField(
            model_name="eventsubject",
            name="service",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="event_subjects", to="releases.service"
            ),
        ),
        migrations.AddField(
            model_name="eventsubject",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
            ),
        ),
        migrations.AddField(
            model_name="eventversion",
            name="dropped_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="eventversion",
            name="subject",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="releases.eventsubject"
            ),
        ),
        migrations.AddField(
            model_name="eventversion",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
            ),
        ),
        migrations.AddField(
            model_name="eventschema",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="schemas", to="releases.eventversion"
            ),
        ),
        migrations.AddField(
            model_name="eventconsumer",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="consumers", to="releases.eventversion"
            ),
        ),
        migrations.AddConstraint(
            model_name="eventpublication",
            constraint=models.UniqueConstraint(fields=("evidence", "schema"), name="event_published_once"),
        ),
        migrations.AddConstraint(
            model_name="eventsubject",
            constraint=models.UniqueConstraint(fields=("workspace", "name"), name="event_subject_once"),
        ),
        migrations.AddIndex(
            model_name="eventversion",
            index=models.Index(fields=["-published_at", "-id"], name="event_version_newest"),
        ),
        migrations.AddConstraint(
            model_name="eventversion",
            constraint=models.UniqueConstraint(fields=("subject", "number"), name="event_version_once"),
        ),
        migrations.AddConstraint(
            model_name="eventversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("mode__in", ["BACKWARD", "FORWARD", "FULL"])), name="event_mode_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="eventversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("dropped_at__isnull", True), ("dropped_by__isnull", True)),
                    models.Q(("dropped_at__isnull", False), ("dropped_by__isnull", False)),
                    _connector="OR",
                ),
                name="event_version_dropped_whole",
            ),
        ),
        migrations.AddConstraint(
            model_name="eventschema",
            constraint=models.UniqueConstraint(fields=("version", "minor"), name="event_schema_once"),
        ),
        migrations.AddConstraint(
            model_name="eventconsumer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)), fields=("version", "service"), name="event_consumer_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="eventconsumer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("ended_by_label__isnull", True)),
                    models.Q(("ended_at__isnull", False), ("ended_by_label__isnull", False)),
                    _connector="OR",
                ),
                name="event_consumer_ended_whole",
            ),
        ),
        protect("releases_eventsubject"),
        same_workspace("releases_eventsubject", "service_id", "releases_service"),
        immutable("releases_eventsubject"),
        protect("releases_eventversion"),
        same_workspace("releases_eventversion", "subject_id", "releases_eventsubject"),
        immutable(
            "releases_eventversion", ("workspace_id", "subject_id", "number", "mode", "is_closed", "published_at")
        ),
        immutable("releases_eventversion", when="OLD.dropped_at IS NOT NULL", name="dropped"),
        protect("releases_eventschema"),
        same_workspace("releases_eventschema", "version_id", "releases_eventversion"),
        same_workspace("releases_eventschema", "release_id", "releases_release"),
        immutable(
            "releases_eventschema",
            (
                "workspace_id",
                "version_id",
                "minor",
                "source",
                "digest",
                "release_id",
                "published_at",
                "published_by_label",
            ),
        ),
        immutable("releases_eventschema", when="OLD.checked_at IS NOT NULL", name="checked"),
        protect("releases_eventpublication"),
        same_workspace("releases_eventpublication", "evidence_id", "releases_evidence"),
        same_workspace("releases_eventpublication", "schema_id", "releases_eventschema"),
        immutable("releases_eventpublication"),
        protect("releases_eventconsumer"),
        same_workspace("releases_eventconsumer", "version_id", "releases_eventversion"),
        same_workspace("releases_eventconsumer", "service_id", "releases_service"),
        immutable(
            "releases_eventconsumer", ("workspace_id", "version_id", "service_id", "opted_in_at", "opted_in_by_label")
        ),
        immutable("releases_eventconsumer", when="OLD.ended_at IS NOT NULL", name="ended"),
        migrations.RunSQL(DUE, "DROP FUNCTION event_checks_due(); DROP INDEX event_schema_unchecked;"),
        definer("event_checks_due()"),
        migrations.RunSQL(BESIDE, "DROP FUNCTION events_beside(uuid, uuid);"),
        definer("events_beside(uuid, uuid)"),
        migrations.CreateModel(
            name="ApiPromise",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=300)),
                ("is_version", models.BooleanField()),
                ("since", models.DateTimeField()),
                ("announced_at", models.DateTimeField(blank=True, null=True)),
                ("sunset_date", models.DateField(blank=True, null=True)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="api_promises", to="releases.service"
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
                "ordering": ["-since", "-pk"],
                "constraints": [
                    models.UniqueConstraint(fields=("service", "name"), name="api_promise_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("announced_at__isnull", True), ("sunset_date__isnull", True)),
                            models.Q(("announced_at__isnull", False), ("sunset_date__isnull", False)),
                            _connector="OR",
                        ),
                        name="api_promise_announced_whole",
                    ),
                ],
            },
        ),
        protect("releases_apipromise"),
        same_workspace("releases_apipromise", "service_id", "releases_service"),
        immutable("releases_apipromise", ("workspace_id", "service_id", "name", "is_version", "since")),
        migrations.RunSQL(NOTICE, "ALTER TABLE releases_apipromise DROP CONSTRAINT api_promise_notice;"),
    ]
