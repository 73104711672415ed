"""What a workspace looks at every so many months, and that it was done."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import definer, immutable, protect, same_workspace

# Owners are told within a week before it is due, and again once it is overdue.
UNTOLD = """
CREATE FUNCTION reviews_untold() RETURNS TABLE (workspace_id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT r.workspace_id FROM public.compliance_review r,
        LATERAL (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) clock
    WHERE r.ended_at IS NULL AND (r.mail_after IS NULL OR r.mail_after <= clock_timestamp())
        AND (r.next_due_date BETWEEN clock.today AND clock.today + 7
                AND r.reminded_for IS DISTINCT FROM r.next_due_date
            OR r.next_due_date < clock.today AND r.chased_for IS DISTINCT FROM r.next_due_date)
$$;
GRANT SELECT ON compliance_review TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_reviewers"), ("workspaces", "0002_tenancy")]

    operations = [
        migrations.CreateModel(
            name="Review",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("METRICS", "Review of metrics"),
                            ("POLICY", "Review of policies"),
                            ("RECOVERY", "Test of disaster recovery"),
                            ("PENETRATION", "Penetration test"),
                            ("ACCESS", "Review of access"),
                            ("AUDIT", "Audit"),
                            ("OTHER", "Another review"),
                        ],
                        max_length=11,
                    ),
                ),
                ("title", models.CharField(max_length=120)),
                ("asks", models.CharField(max_length=500)),
                ("interval_months", models.PositiveSmallIntegerField()),
                ("next_due_date", models.DateField()),
                ("set_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("reminded_for", models.DateField(blank=True, null=True)),
                ("chased_for", models.DateField(blank=True, null=True)),
                ("mail_after", models.DateTimeField(blank=True, null=True)),
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
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "owner_role",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.role",
                    ),
                ),
                (
                    "set_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
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
                "ordering": ["next_due_date", "title"],
            },
        ),
        migrations.CreateModel(
            name="ReviewDone",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("due_date", models.DateField()),
                ("done_at", models.DateTimeField()),
                ("note", models.TextField(max_length=4000)),
                ("link", models.URLField(blank=True, max_length=500)),
                ("details", models.JSONField(blank=True, default=dict)),
                (
                    "done_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "review",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="done", to="compliance.review"
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
                "ordering": ["-done_at", "-pk"],
            },
        ),
        migrations.AddIndex(
            model_name="review",
            index=models.Index(condition=models.Q(("ended_at", None)), fields=["next_due_date"], name="review_due"),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["METRICS", "POLICY", "RECOVERY", "PENETRATION", "ACCESS", "AUDIT", "OTHER"])
                ),
                name="review_kind_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.CheckConstraint(
                condition=models.Q(("interval_months__gte", 1), ("interval_months__lte", 36)), name="review_recurs"
            ),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("owner", None), ("owner_role__isnull", False)),
                    models.Q(("owner__isnull", False), ("owner_role", None)),
                    _connector="OR",
                ),
                name="review_has_one_owner",
            ),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)), fields=("workspace", "title"), name="review_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("ended_by__isnull", True)),
                    models.Q(("ended_at__isnull", False), ("ended_by__isnull", False)),
                    _connector="OR",
                ),
                name="review_ended_whole",
            ),
        ),
        migrations.AddIndex(
            model_name="reviewdone",
            index=models.Index(fields=["workspace", "-done_at"], name="review_done_by_age"),
        ),
        migrations.AddConstraint(
            model_name="reviewdone",
            constraint=models.UniqueConstraint(fields=("review", "due_date"), name="review_done_once"),
        ),
        protect("compliance_review"),
        protect("compliance_reviewdone"),
        same_workspace("compliance_reviewdone", "review_id", "compliance_review"),
        immutable("compliance_reviewdone"),
        migrations.RunSQL(UNTOLD, "DROP FUNCTION reviews_untold();"),
        definer("reviews_untold()"),
    ]
