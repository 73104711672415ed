"""Refreshes of data, backups and tests of them; and of whose data the owners are to be told."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import definer, immutable, protect, same_workspace

# So that a check on one row of a refresh can speak of the tiers of two environments.
TIERS = """
ALTER TABLE environments_environment ADD CONSTRAINT environment_id_and_tier UNIQUE (id, tier);
ALTER TABLE environments_datarefresh
    ADD CONSTRAINT environment_is_of_its_tier FOREIGN KEY (environment_id, tier)
        REFERENCES environments_environment (id, tier) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT source_is_of_its_tier FOREIGN KEY (source_id, source_tier)
        REFERENCES environments_environment (id, tier) DEFERRABLE INITIALLY DEFERRED;
"""
NO_TIERS = """
ALTER TABLE environments_datarefresh DROP CONSTRAINT environment_is_of_its_tier, DROP CONSTRAINT source_is_of_its_tier;
ALTER TABLE environments_environment DROP CONSTRAINT environment_id_and_tier;
"""

# One that never got a data set counts from when it was made. What was told of is older than what is to be told.
UNTOLD = """
CREATE FUNCTION data_untold(tiers text[], refreshed_within interval, kept_for interval)
    RETURNS TABLE (workspace_id uuid, environment_id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT e.workspace_id, e.id FROM public.environments_environment e,
        LATERAL (SELECT max(r.refreshed_at) AS at FROM public.environments_datarefresh r WHERE r.environment_id = e.id) last,
        LATERAL (SELECT CASE WHEN last.at + kept_for <= clock_timestamp() THEN last.at + kept_for
            ELSE COALESCE(last.at, e.created_at) + refreshed_within END AS since) fault
    WHERE e.tier = ANY (tiers) AND e.destroyed_at IS NULL AND fault.since <= clock_timestamp()
        AND (e.data_told_for IS NULL OR e.data_told_for < fault.since)
        AND (e.data_mail_after IS NULL OR e.data_mail_after <= clock_timestamp())
$$;
GRANT SELECT ON environments_environment, environments_datarefresh TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("environments", "0017_prune_denials"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="environment",
            name="data_mail_after",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="environment",
            name="data_told_for",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="DataRefresh",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("evidence_sha256", models.CharField(blank=True, max_length=64)),
                ("evidence_name", models.CharField(blank=True, max_length=150)),
                ("evidence_link", models.URLField(blank=True, max_length=500)),
                ("recorded_at", models.DateTimeField()),
                ("recorded_by_label", models.CharField(max_length=150)),
                (
                    "tier",
                    models.CharField(
                        choices=[
                            ("LOCAL", "Local"),
                            ("DEV", "Dev"),
                            ("QA", "QA"),
                            ("STAGING", "Staging"),
                            ("PRODUCTION", "Production"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("SYNTHETIC", "Synthetic"), ("MASKED", "Masked"), ("ANONYMISED", "Anonymised")],
                        max_length=10,
                    ),
                ),
                (
                    "source_tier",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("LOCAL", "Local"),
                            ("DEV", "Dev"),
                            ("QA", "QA"),
                            ("STAGING", "Staging"),
                            ("PRODUCTION", "Production"),
                        ],
                        max_length=10,
                    ),
                ),
                ("refreshed_at", models.DateTimeField()),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="environments.environment"
                    ),
                ),
                (
                    "recorded_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="environments.environment",
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
                "ordering": ["-refreshed_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "SYNTHETIC"), ("tier__in", ["LOCAL", "DEV"])),
                            models.Q(("kind__in", ["SYNTHETIC", "MASKED"]), ("tier", "QA")),
                            models.Q(("kind", "ANONYMISED"), ("tier", "STAGING")),
                            _connector="OR",
                        ),
                        name="refresh_kind_fits_tier",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("source_tier", "PRODUCTION"), _negated=True),
                            models.Q(("evidence_sha256", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="refresh_from_production_proved",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "SYNTHETIC"), ("source", None), ("source_tier", "")),
                            models.Q(
                                ("source__isnull", False),
                                ("source_tier__in", ["LOCAL", "DEV", "QA", "STAGING", "PRODUCTION"]),
                                models.Q(("source", models.F("environment")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="refresh_source_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("evidence_link", ""), ("evidence_name", ""), ("evidence_sha256", "")),
                            models.Q(
                                ("evidence_sha256__regex", "^[0-9a-f]{64}$"),
                                models.Q(("evidence_name", ""), _negated=True),
                                ("evidence_link", ""),
                            ),
                            models.Q(
                                ("evidence_sha256__regex", "^[0-9a-f]{64}$"),
                                ("evidence_name", ""),
                                models.Q(("evidence_link", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="refresh_evidence_bound",
                    ),
                    models.UniqueConstraint(fields=("environment", "refreshed_at"), name="refresh_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="RecoveryRecord",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("evidence_sha256", models.CharField(blank=True, max_length=64)),
                ("evidence_name", models.CharField(blank=True, max_length=150)),
                ("evidence_link", models.URLField(blank=True, max_length=500)),
                ("recorded_at", models.DateTimeField()),
                ("recorded_by_label", models.CharField(max_length=150)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("BACKUP", "Backup"),
                            ("RESTORE_TEST", "Restore test"),
                            ("RECOVERY_TEST", "Disaster recovery test"),
                        ],
                        max_length=13,
                    ),
                ),
                ("done_at", models.DateTimeField()),
                ("succeeded", models.BooleanField(default=True)),
                ("point_in_time", models.BooleanField(default=False)),
                ("reach_hours", models.PositiveIntegerField(default=0)),
                ("kept_daily", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("kept_monthly", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("rpo_minutes", models.PositiveIntegerField(blank=True, null=True)),
                ("rto_minutes", models.PositiveIntegerField(blank=True, null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="environments.environment"
                    ),
                ),
                (
                    "recorded_by",
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
                "ordering": ["-done_at"],
                "indexes": [models.Index(fields=["environment", "kind", "-done_at"], name="recovery_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kept_daily__isnull", False),
                                ("kept_monthly__isnull", False),
                                ("kind", "BACKUP"),
                                ("rpo_minutes", None),
                                ("rto_minutes", None),
                                ("succeeded", True),
                            ),
                            models.Q(
                                ("kept_daily", None),
                                ("kept_monthly", None),
                                ("kind__in", ["RESTORE_TEST", "RECOVERY_TEST"]),
                                ("point_in_time", False),
                                ("rpo_minutes__isnull", False),
                                ("rto_minutes__isnull", False),
                                ("succeeded", True),
                            ),
                            models.Q(
                                ("kept_daily", None),
                                ("kept_monthly", None),
                                ("kind__in", ["BACKUP", "RESTORE_TEST", "RECOVERY_TEST"]),
                                ("point_in_time", False),
                                ("rpo_minutes", None),
                                ("rto_minutes", None),
                                ("succeeded", False),
                            ),
                            _connector="OR",
                        ),
                        name="recovery_figures_fit_kind",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind", "BACKUP"), models.Q(("evidence_sha256", ""), _negated=True), _connector="OR"
                        ),
                        name="recovery_test_proved",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("point_in_time", False), ("reach_hours", 0)),
                            models.Q(("point_in_time", True), ("reach_hours__gt", 0)),
                            _connector="OR",
                        ),
                        name="recovery_reach_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("evidence_link", ""), ("evidence_name", ""), ("evidence_sha256", "")),
                            models.Q(
                                ("evidence_sha256__regex", "^[0-9a-f]{64}$"),
                                models.Q(("evidence_name", ""), _negated=True),
                                ("evidence_link", ""),
                            ),
                            models.Q(
                                ("evidence_sha256__regex", "^[0-9a-f]{64}$"),
                                ("evidence_name", ""),
                                models.Q(("evidence_link", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="recovery_evidence_bound",
                    ),
                    models.UniqueConstraint(fields=("environment", "done_at", "kind"), name="recovery_once"),
                ],
            },
        ),
        protect("environments_datarefresh"),
        protect("environments_recoveryrecord"),
        same_workspace("environments_datarefresh", "environment_id", "environments_environment"),
        same_workspace("environments_datarefresh", "source_id", "environments_environment"),
        same_workspace("environments_recoveryrecord", "environment_id", "environments_environment"),
        immutable("environments_datarefresh"),
        immutable("environments_recoveryrecord"),
        migrations.RunSQL(TIERS, NO_TIERS),
        migrations.RunSQL(UNTOLD, "DROP FUNCTION data_untold(text[], interval, interval);"),
        definer("data_untold(text[], interval, interval)"),
    ]
