"""What data a tier may hold is its policy's by now, removals are on record, and reminders are of all records."""

import uuid
from importlib import import_module

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from apps.core.row_level_security import definer, protect, same_workspace

before = import_module("apps.environments.migrations.0018_data_and_backups")
UNTOLD = "data_untold(text[], interval, interval)"
# Whether something is lacking is said by the policies, so only whose turn it is to be looked at is said here.
UNSEEN = """
CREATE FUNCTION records_unseen(tiers text[]) RETURNS TABLE (workspace_id uuid, environment_id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT e.workspace_id, e.id FROM public.environments_environment e
    LEFT JOIN public.environments_recordreminder r ON r.environment_id = e.id
    WHERE e.tier = ANY (tiers) AND e.destroyed_at IS NULL
        AND (r.look_after IS NULL OR r.look_after <= clock_timestamp())
    ORDER BY r.look_after NULLS FIRST LIMIT 100
$$;
GRANT SELECT ON environments_recordreminder TO eaip_gate;
"""
KINDS = [("SYNTHETIC", "Synthetic"), ("MASKED", "Masked"), ("ANONYMISED", "Anonymised"), ("REMOVED", "Removed")]


class Migration(migrations.Migration):
    dependencies = [
        ("environments", "0018_data_and_backups"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.RunSQL(f"DROP FUNCTION {UNTOLD};", before.UNTOLD + str(definer(UNTOLD).sql)),
        migrations.RemoveField(model_name="environment", name="data_mail_after"),
        migrations.RemoveField(model_name="environment", name="data_told_for"),
        migrations.AlterField(
            model_name="datarefresh", name="kind", field=models.CharField(choices=KINDS, max_length=10)
        ),
        migrations.RemoveConstraint(model_name="datarefresh", name="refresh_kind_fits_tier"),
        migrations.RemoveConstraint(model_name="datarefresh", name="refresh_source_whole"),
        migrations.AddConstraint(
            model_name="datarefresh",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["SYNTHETIC", "MASKED", "ANONYMISED", "REMOVED"])),
                name="refresh_kind_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="datarefresh",
            constraint=models.CheckConstraint(
                condition=models.Q(("tier", "PRODUCTION"), _negated=True), name="refresh_never_in_production"
            ),
        ),
        migrations.AddConstraint(
            model_name="datarefresh",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ["SYNTHETIC", "REMOVED"]), ("source", None), ("source_tier", "")),
                    models.Q(
                        ("source__isnull", False),
                        ("source_tier__in", ["LOCAL", "DEV", "QA", "STAGING", "PRODUCTION"]),
                        models.Q(("kind", "REMOVED"), _negated=True),
                        models.Q(("source", models.F("environment")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="refresh_source_whole",
            ),
        ),
        migrations.CreateModel(
            name="RecordReminder",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "told",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40), blank=True, default=list, size=None
                    ),
                ),
                ("look_after", models.DateTimeField()),
                (
                    "environment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="environments.environment"
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["look_after"], name="record_reminder_due")]},
        ),
        protect("environments_recordreminder"),
        same_workspace("environments_recordreminder", "environment_id", "environments_environment"),
        migrations.RunSQL(UNSEEN, "DROP FUNCTION records_unseen(text[]);"),
        definer("records_unseen(text[])"),
    ]
