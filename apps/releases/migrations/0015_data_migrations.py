"""The data migrations of a release: written with its draft, insert-only, closed by its seal."""

import uuid

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from apps.core.row_level_security import immutable, protect, publish, same_workspace

CLASSES = [
    ("REVERSIBLE", "Reversible"),
    ("FORWARD_COMPATIBLE", "Forward-compatible"),
    ("FORWARD_ONLY", "Forward-only"),
]

# What was sealed is whole: no migration is added to it afterwards.
INTO_DRAFTS = """
CREATE FUNCTION releases_datamigration_into_drafts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT state FROM releases_release WHERE id = NEW.release_id) IS DISTINCT FROM 'DRAFT' THEN
        RAISE EXCEPTION 'releases_datamigration: only a draft gets migrations'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER releases_datamigration_into_drafts BEFORE INSERT ON releases_datamigration
    FOR EACH ROW EXECUTE FUNCTION releases_datamigration_into_drafts();
ALTER TABLE releases_datamigration ENABLE ALWAYS TRIGGER releases_datamigration_into_drafts;
"""
ANYWHERE = """
DROP TRIGGER releases_datamigration_into_drafts ON releases_datamigration;
DROP FUNCTION releases_datamigration_into_drafts();
"""


class Migration(migrations.Migration):
    dependencies = [("releases", "0014_findings"), ("workspaces", "0002_tenancy")]

    operations = [
        migrations.CreateModel(
            name="DataMigration",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("position", models.PositiveSmallIntegerField()),
                ("name", models.CharField(max_length=100)),
                ("migration_class", models.CharField(choices=CLASSES, max_length=18)),
                ("sha256", models.CharField(max_length=64)),
                ("path", models.CharField(blank=True, max_length=300)),
                ("rollback", models.TextField(max_length=4000)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("is_critical", models.BooleanField(default=False)),
                ("is_published", models.BooleanField(default=False)),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="migrations", to="releases.release"
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
                "ordering": ["release", "position"],
                "constraints": [
                    models.UniqueConstraint(fields=("release", "name"), name="migration_once"),
                    models.CheckConstraint(
                        condition=Q(("migration_class__in", [word for word, _ in CLASSES])),
                        name="migration_class_known",
                    ),
                    models.CheckConstraint(
                        condition=Q(("rollback", ""), _negated=True), name="migration_says_the_way_back"
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            Q(("migration_class", "FORWARD_ONLY"), _negated=True),
                            Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="migration_says_why_forward_only",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            ("is_critical", False),
                            Q(("migration_class", "REVERSIBLE"), _negated=True),
                            _connector="OR",
                        ),
                        name="migration_keeps_critical_data",
                    ),
                ],
            },
        ),
        protect("releases_datamigration"),
        publish("releases_datamigration"),
        same_workspace("releases_datamigration", "release_id", "releases_release"),
        migrations.RunSQL(INTO_DRAFTS, ANYWHERE),
        immutable(
            "releases_datamigration",
            (
                "workspace_id", "release_id", "position", "name", "migration_class", "sha256", "path", "rollback",
                "reason", "is_critical",
            ),
        ),
    ]  # fmt: skip
