"""Exports of the trail, streams of it to receivers elsewhere each with its cursor, and the entries that one refused."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.audit.net import govern
from apps.core.row_level_security import definer, final, immutable, protect, same_workspace

# What waits or whose worker fell silent, and what is kept past its time.
EXPORTS_DUE = """
CREATE FUNCTION exports_due() RETURNS TABLE (id uuid, workspaces uuid[], state text) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT e.id, e.workspaces, e.state::text FROM public.compliance_auditexport e
    WHERE e.state IN ('QUEUED', 'RUNNING') AND (e.lease_until IS NULL OR e.lease_until < clock_timestamp())
        OR e.state = 'DONE' AND e.expires_at <= clock_timestamp()
    ORDER BY e.asked_at
$$;
GRANT SELECT ON compliance_auditexport TO eaip_gate;
"""
ASKED = ("form", "workspaces", "asked", "criteria", "asked_by_id", "token_id", "asked_at", "workspace_id")
# Active ones that have something to send, and that nobody sends for.
STREAMS_DUE = """
CREATE FUNCTION streams_due() RETURNS TABLE (workspace_id uuid, id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT s.workspace_id, s.id FROM public.compliance_auditstream s
    WHERE s.state = 'ACTIVE' AND (s.lease_until IS NULL OR s.lease_until < clock_timestamp())
        AND (s.next_try_at IS NULL OR s.next_try_at <= clock_timestamp())
        AND (EXISTS (SELECT FROM public.audit_leaf l
                     WHERE l.workspace_id = s.workspace_id AND l.leaf_index >= s.next_leaf)
            OR EXISTS (SELECT FROM public.compliance_streamletter t WHERE t.stream_id = s.id AND t.is_waiting)
            OR s.server <> public.database_identity())
    ORDER BY s.delivered_at NULLS FIRST
$$;
GRANT SELECT ON compliance_auditstream, compliance_streamletter TO eaip_gate;
GRANT EXECUTE ON FUNCTION database_identity() TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0004_retention"),
        ("audit", "0006_net"),
        ("deployments", "0051_database_epoch"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditExport",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "form",
                    models.CharField(
                        choices=[
                            ("CSV", "CSV"),
                            ("JSONL", "JSON Lines"),
                            ("PARQUET", "Parquet"),
                            ("BUNDLE", "Signed bundle"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("QUEUED", "Queued"),
                            ("RUNNING", "Being written"),
                            ("DONE", "Ready"),
                            ("FAILED", "Failed"),
                            ("CANCELLED", "Cancelled"),
                            ("EXPIRED", "Expired"),
                        ],
                        default="QUEUED",
                        max_length=10,
                    ),
                ),
                (
                    "workspaces",
                    django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), size=None),
                ),
                ("asked", models.JSONField(blank=True, default=dict)),
                ("criteria", models.JSONField(blank=True, default=dict)),
                ("asked_at", models.DateTimeField()),
                ("expected_rows", models.BigIntegerField(default=0)),
                ("rows", models.BigIntegerField(default=0)),
                ("bytes", models.BigIntegerField(default=0)),
                ("sha256", models.CharField(blank=True, max_length=64)),
                ("heads", models.JSONField(blank=True, default=list)),
                ("detail", models.CharField(blank=True, max_length=300)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("lease_token", models.UUIDField(blank=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "token",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="workspaces.apitoken",
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
                "ordering": ["-asked_at", "-pk"],
                "indexes": [
                    models.Index(fields=["asked_by", "-asked_at", "-id"], name="export_by_asker"),
                    models.Index(
                        condition=models.Q(("state__in", ["QUEUED", "RUNNING"])),
                        fields=["asked_at"],
                        name="export_under_way",
                    ),
                    models.Index(condition=models.Q(("state", "DONE")), fields=["expires_at"], name="export_kept"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("form__in", ["CSV", "JSONL", "PARQUET", "BUNDLE"])),
                        name="export_form_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["QUEUED", "RUNNING", "DONE", "FAILED", "CANCELLED", "EXPIRED"])
                        ),
                        name="export_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state__in", ["QUEUED", "RUNNING"])),
                            models.Q(
                                ("ended_at__isnull", False), ("state__in", ["DONE", "FAILED", "CANCELLED", "EXPIRED"])
                            ),
                            _connector="OR",
                        ),
                        name="export_ended_by_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["DONE", "EXPIRED"]), _negated=True),
                            models.Q(("expires_at__isnull", False), models.Q(("sha256", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="export_done_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("lease_token__isnull", True), ("lease_until__isnull", True)),
                            models.Q(("lease_token__isnull", False), ("lease_until__isnull", False)),
                            _connector="OR",
                        ),
                        name="export_lease_whole",
                    ),
                ],
            },
        ),
        protect("compliance_auditexport"),
        immutable("compliance_auditexport", ASKED),
        final("compliance_auditexport", ("FAILED", "CANCELLED", "EXPIRED")),
        migrations.RunSQL(EXPORTS_DUE, "DROP FUNCTION exports_due();"),
        definer("exports_due()"),
        migrations.CreateModel(
            name="AuditStream",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(choices=[("SYSLOG", "Syslog over TLS"), ("WEBHOOK", "Webhook")], max_length=10),
                ),
                ("name", models.CharField(max_length=60)),
                ("url", models.CharField(max_length=500)),
                ("ca_pem", models.TextField(blank=True, max_length=20000)),
                (
                    "state",
                    models.CharField(
                        choices=[("ACTIVE", "Active"), ("PAUSED", "Paused"), ("REMOVED", "Removed")],
                        default="ACTIVE",
                        max_length=10,
                    ),
                ),
                ("next_leaf", models.BigIntegerField()),
                ("server", models.CharField(blank=True, max_length=80)),
                ("delivered", models.BigIntegerField(default=0)),
                ("delivered_at", models.DateTimeField(blank=True, null=True)),
                ("known_until", models.DateTimeField(blank=True, null=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("detail", models.CharField(blank=True, max_length=300)),
                ("next_try_at", models.DateTimeField(blank=True, null=True)),
                ("lease_token", models.UUIDField(blank=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "ended_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
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
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["SYSLOG", "WEBHOOK"])), name="stream_kind_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["ACTIVE", "PAUSED", "REMOVED"])), name="stream_state_known"
                    ),
                    models.CheckConstraint(condition=models.Q(("next_leaf__gte", 0)), name="stream_cursor_whole"),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "REMOVED"), _negated=True),
                        fields=("workspace", "name"),
                        name="stream_name_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", True), ("ended_by__isnull", True)),
                            models.Q(("ended_at__isnull", False), ("ended_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="stream_ended_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("lease_token__isnull", True), ("lease_until__isnull", True)),
                            models.Q(("lease_token__isnull", False), ("lease_until__isnull", False)),
                            _connector="OR",
                        ),
                        name="stream_lease_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StreamLetter",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("leaf_index", models.BigIntegerField()),
                ("event_id", models.UUIDField()),
                ("refused_at", models.DateTimeField()),
                ("detail", models.CharField(max_length=300)),
                ("tries", models.PositiveIntegerField(default=1)),
                ("is_waiting", models.BooleanField(default=False)),
                ("replayed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "stream",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="letters",
                        to="compliance.auditstream",
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
                "ordering": ["-refused_at", "-pk"],
                "indexes": [
                    models.Index(condition=models.Q(("is_waiting", True)), fields=["stream"], name="letter_waiting"),
                    models.Index(fields=["stream", "-refused_at", "-id"], name="letter_by_age"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("stream", "leaf_index"), name="letter_once"),
                ],
            },
        ),
        protect("compliance_auditstream"),
        protect("compliance_streamletter"),
        same_workspace("compliance_streamletter", "stream_id", "compliance_auditstream"),
        final("compliance_auditstream", ("REMOVED",)),
        govern(
            "compliance_auditstream",
            unwatched=(
                "next_leaf",
                "server",
                "delivered",
                "delivered_at",
                "known_until",
                "tries",
                "failing_since",
                "detail",
                "next_try_at",
                "lease_token",
                "lease_until",
            ),
        ),
        migrations.RunSQL(STREAMS_DUE, "DROP FUNCTION streams_due();"),
        definer("streams_due()"),
    ]
