"""Lines of checklists as promotions are asked for them, and who ticked each: ended and voided, never changed.

Which owed lines go by a gate that may have turned is asked past the scope: workspaces only.
"""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

from apps.core.row_level_security import definer, immutable, protect, same_workspace

ASKED = (
    "workspace_id", "promotion_id", "clause", "checklist", "title", "phase", "position", "line", "text", "role_id",
    "follows", "asked_at", "due_at",
)  # fmt: skip
TICKED = (
    "workspace_id", "line_id", "promotion_id", "note", "plan_hash", "ticked_at", "ticked_by_id", "on_behalf_of_id",
    "delegation_id",
)  # fmt: skip
UNJUDGED = """
CREATE FUNCTION checklists_unjudged() RETURNS TABLE (workspace_id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT l.workspace_id
    FROM public.approvals_checklistline l
    WHERE l.phase = 'POST' AND l.ended_at IS NULL AND l.follows <> ''
        AND l.judged_at < clock_timestamp() - interval '5 minutes'
        AND NOT EXISTS (SELECT FROM public.approvals_tick t WHERE t.line_id = l.id AND t.voided_at IS NULL)
$$;
GRANT SELECT ON approvals_checklistline, approvals_tick TO eaip_gate;
"""


def refers_to(model, **options):
    return models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to=model, **{"related_name": "+", **options})


def key():
    return models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_senior_engineer"),
        ("approvals", "0054_decision_says_how_it_was_confirmed"),
        ("workspaces", "0002_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ChecklistLine",
            fields=[
                ("id", key()),
                ("clause", models.CharField(max_length=11)),
                ("checklist", models.CharField(max_length=40)),
                ("title", models.CharField(max_length=120)),
                ("phase", models.CharField(choices=[("PRE", "PRE"), ("POST", "POST")], max_length=4)),
                ("position", models.PositiveSmallIntegerField()),
                ("line", models.CharField(max_length=40)),
                ("text", models.CharField(max_length=120)),
                ("follows", models.CharField(blank=True, max_length=11)),
                ("asked_at", models.DateTimeField()),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("judged_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("end_reason", models.CharField(blank=True, max_length=200, null=True)),
                ("promotion", refers_to("approvals.promotion", related_name="checklist_lines")),
                ("role", refers_to("accounts.role", blank=True, null=True)),
                ("workspace", refers_to("workspaces.workspace")),
            ],
            options={
                "ordering": ["promotion", "asked_at", "position"],
                "indexes": [
                    models.Index(
                        condition=Q(phase="POST", ended_at=None),
                        fields=["workspace", "due_at"],
                        name="checklist_line_owed",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(ended_at=None),
                        fields=("promotion", "phase", "checklist", "line"),
                        name="checklist_line_once",
                    ),
                    models.CheckConstraint(condition=Q(phase__in=["PRE", "POST"]), name="checklist_line_phase_known"),
                    models.CheckConstraint(
                        condition=Q(role=None) & ~Q(follows="") | Q(role__isnull=False, follows=""),
                        name="checklist_line_ticked_one_way",
                    ),
                    models.CheckConstraint(
                        condition=Q(phase="PRE", due_at=None) | Q(phase="POST", due_at__isnull=False),
                        name="checklist_line_due_afterwards",
                    ),
                    models.CheckConstraint(
                        condition=Q(ended_at__isnull=True, end_reason__isnull=True)
                        | Q(ended_at__isnull=False, end_reason__isnull=False),
                        name="checklist_line_ended_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Tick",
            fields=[
                ("id", key()),
                ("note", models.CharField(blank=True, max_length=500)),
                ("plan_hash", models.CharField(max_length=64)),
                ("ticked_at", models.DateTimeField()),
                ("voided_at", models.DateTimeField(blank=True, null=True)),
                ("void_reason", models.CharField(blank=True, max_length=300, null=True)),
                ("delegation", refers_to("approvals.delegation", blank=True, null=True)),
                ("line", refers_to("approvals.checklistline", related_name="ticks")),
                ("on_behalf_of", refers_to(settings.AUTH_USER_MODEL, blank=True, null=True)),
                ("promotion", refers_to("approvals.promotion", related_name="ticks")),
                ("ticked_by", refers_to(settings.AUTH_USER_MODEL, blank=True, null=True)),
                ("voided_by", refers_to(settings.AUTH_USER_MODEL, blank=True, null=True)),
                ("workspace", refers_to("workspaces.workspace")),
            ],
            options={
                "ordering": ["ticked_at"],
                "constraints": [
                    models.UniqueConstraint(condition=Q(voided_at=None), fields=("line",), name="tick_once"),
                    models.CheckConstraint(condition=~Q(ticked_by=F("on_behalf_of")), name="tick_of_two_people"),
                    models.CheckConstraint(
                        condition=Q(on_behalf_of__isnull=True, delegation__isnull=True)
                        | Q(on_behalf_of__isnull=False, delegation__isnull=False),
                        name="tick_delegated_whole",
                    ),
                    models.CheckConstraint(
                        condition=Q(voided_at__isnull=True, void_reason__isnull=True)
                        | Q(voided_at__isnull=False, void_reason__isnull=False),
                        name="tick_voided_whole",
                    ),
                ],
            },
        ),
        protect("approvals_checklistline"),
        same_workspace("approvals_checklistline", "promotion_id", "approvals_promotion"),
        immutable("approvals_checklistline", ASKED),
        protect("approvals_tick"),
        same_workspace("approvals_tick", "line_id", "approvals_checklistline"),
        same_workspace("approvals_tick", "promotion_id", "approvals_promotion"),
        same_workspace("approvals_tick", "delegation_id", "approvals_delegation"),
        immutable("approvals_tick", TICKED),
        migrations.RunSQL(UNJUDGED, "DROP FUNCTION checklists_unjudged();"),
        definer("checklists_unjudged()"),
    ]
