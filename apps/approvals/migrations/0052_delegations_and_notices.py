"""Roles lent for a time, decisions that name both people, and what people are told of requirements that nobody answers.

Which delegations are void and which notices are to be mailed is asked past the scope: ids only. The version before reads
and writes decisions and requirements without the new columns, which may be empty: nothing to take back.
"""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

from apps.core.row_level_security import definer, immutable, protect, same_workspace

DECIDED = ("requirement_id", "promotion_id", "choice", "comment", "plan_hash", "decided_at", "decided_by_id")
WITH_BOTH = (*DECIDED, "on_behalf_of_id", "delegation_id")
GIVEN = ("membership_id", "delegate_id", "reason", "begins_at", "ends_at", "given_at")

DELEGATIONS_VOID = """
CREATE FUNCTION delegations_void() RETURNS TABLE (workspace_id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT d.workspace_id
    FROM public.approvals_delegation d
    WHERE d.ended_at IS NULL AND NOT EXISTS (
        SELECT FROM public.workspaces_membership held
        JOIN public.accounts_user holder ON holder.id = held.user_id AND holder.is_active
        JOIN public.accounts_user delegate ON delegate.id = d.delegate_id AND delegate.is_active
        JOIN public.workspaces_membership theirs ON theirs.user_id = delegate.id
            AND theirs.workspace_id = d.workspace_id AND theirs.ended_at IS NULL
        WHERE held.id = d.membership_id AND held.ended_at IS NULL
    )
$$;
GRANT SELECT ON approvals_delegation, workspaces_membership, accounts_user TO eaip_gate;
"""
NOTICES_UNMAILED = """
CREATE FUNCTION notices_unmailed() RETURNS TABLE (workspace_id uuid, id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT n.workspace_id, n.id FROM public.approvals_notice n
    WHERE n.mail_after <= clock_timestamp() ORDER BY n.mail_after LIMIT 100
$$;
GRANT SELECT ON approvals_notice TO eaip_gate;
"""
TOLD = ("requirement_id", "kind", "recipient_id", "told_at")


def person(**options):
    return models.ForeignKey(
        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL, **options
    )


class Migration(migrations.Migration):
    dependencies = [("approvals", "0051_emergencies"), ("workspaces", "0002_tenancy")]

    operations = [
        migrations.CreateModel(
            name="Delegation",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("reason", models.CharField(max_length=300)),
                ("begins_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("given_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("end_reason", models.CharField(blank=True, max_length=200, null=True)),
                ("delegate", person()),
                (
                    "membership",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.membership"
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
                "ordering": ["-given_at"],
                "indexes": [models.Index(fields=["delegate"], name="delegation_standing", condition=Q(ended_at=None))],
                "constraints": [
                    models.CheckConstraint(name="delegation_lasts", condition=Q(ends_at__gt=F("begins_at"))),
                    models.CheckConstraint(
                        name="delegation_ended_whole",
                        condition=Q(ended_at__isnull=True, end_reason__isnull=True)
                        | Q(ended_at__isnull=False, end_reason__isnull=False),
                    ),
                ],
            },
        ),
        *(
            migrations.AddField("requirement", name, models.DateTimeField(blank=True, null=True))
            for name in ("waits_since", "reminded_at", "escalated_at", "stuck_since")
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("REMINDER", "Reminder"), ("ESCALATION", "Escalation"), ("ALARM", "Alarm")],
                        max_length=10,
                    ),
                ),
                ("told_at", models.DateTimeField()),
                ("mail_after", models.DateTimeField(blank=True, null=True)),
                ("mail_tries", models.PositiveSmallIntegerField(default=0)),
                ("mailed_at", models.DateTimeField(blank=True, null=True)),
                ("recipient", person()),
                (
                    "requirement",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="notices", to="approvals.requirement"
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
                "ordering": ["told_at"],
                "indexes": [
                    models.Index(fields=["recipient"], name="notice_recipient"),
                    models.Index(fields=["mail_after"], name="notice_unmailed", condition=Q(mail_after__isnull=False)),
                ],
                "constraints": [
                    models.UniqueConstraint(name="notice_once", fields=["requirement", "kind", "recipient", "told_at"]),
                    models.CheckConstraint(
                        name="notice_kind_known", condition=Q(kind__in=["REMINDER", "ESCALATION", "ALARM"])
                    ),
                    models.CheckConstraint(name="notice_mailed_once", condition=Q(mailed_at=None) | Q(mail_after=None)),
                ],
            },
        ),
        migrations.AddField("decision", "on_behalf_of", person(blank=True, null=True)),
        migrations.AddField(
            "decision",
            "delegation",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="approvals.delegation",
            ),
        ),
        migrations.AddConstraint(
            "decision",
            models.UniqueConstraint(
                name="decision_holder_once", fields=["promotion", "on_behalf_of"], condition=Q(voided_at=None)
            ),
        ),
        migrations.AddConstraint(
            "decision",
            models.CheckConstraint(name="decision_of_two_people", condition=~Q(decided_by=F("on_behalf_of"))),
        ),
        migrations.AddConstraint(
            "decision",
            models.CheckConstraint(
                name="decision_delegated_whole",
                condition=Q(on_behalf_of__isnull=True, delegation__isnull=True)
                | Q(on_behalf_of__isnull=False, delegation__isnull=False),
            ),
        ),
        protect("approvals_delegation"),
        protect("approvals_notice"),
        same_workspace("approvals_notice", "requirement_id", "approvals_requirement"),
        immutable("approvals_notice", TOLD),
        same_workspace("approvals_delegation", "membership_id", "workspaces_membership"),
        same_workspace("approvals_decision", "delegation_id", "approvals_delegation"),
        immutable("approvals_delegation", GIVEN),
        migrations.RunSQL(
            "DROP TRIGGER approvals_decision_immutable ON approvals_decision; "
            "DROP FUNCTION approvals_decision_immutable();",
            immutable("approvals_decision", DECIDED).sql,
        ),
        immutable("approvals_decision", WITH_BOTH),
        migrations.RunSQL(DELEGATIONS_VOID, "DROP FUNCTION delegations_void();"),
        definer("delegations_void()"),
        migrations.RunSQL(NOTICES_UNMAILED, "DROP FUNCTION notices_unmailed();"),
        definer("notices_unmailed()"),
    ]
