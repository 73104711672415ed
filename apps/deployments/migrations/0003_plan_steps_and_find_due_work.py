"""Steps are planned before they start; a deployment can be undone again when the first try did not run; who is due.

`due_work` is the one question of the engine that is asked past the scope: ids only, each handled in its own workspace.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from apps.core.row_level_security import definer

OPEN = ("QUEUED", "STARTING", "MIGRATING", "APPLYING", "VERIFYING", "CANCELLING", "UNKNOWN")
VERDICTS = ("PLANNED", "RUNNING", "DONE", "FAILED", "UNKNOWN", "SKIPPED")

DUE_WORK = """
CREATE FUNCTION due_work(unclaimed interval, one uuid DEFAULT NULL)
    RETURNS TABLE (workspace_id uuid, kind text, id uuid) LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT d.workspace_id,
        CASE
            WHEN d.state = 'QUEUED' AND d.deadline_at < clock_timestamp() THEN 'EXPIRE'
            WHEN d.lease_token IS NOT NULL AND d.state <> 'UNKNOWN' THEN 'LAPSE'
            ELSE 'RUN'
        END,
        d.id
    FROM public.deployments_deployment d
    WHERE (one IS NULL OR d.id = one) AND (
        d.state = 'QUEUED' AND (d.requested_at <= clock_timestamp() - unclaimed OR d.deadline_at < clock_timestamp())
        OR d.state = 'STARTING' AND d.lease_token IS NULL AND d.requested_at <= clock_timestamp() - unclaimed
        OR d.state IN ('STARTING', 'MIGRATING', 'APPLYING', 'VERIFYING', 'CANCELLING')
            AND d.lease_until < clock_timestamp()
        OR d.state = 'UNKNOWN' AND d.probe_after <= clock_timestamp()
            AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())
    )
    UNION ALL
    SELECT p.workspace_id, 'START', p.id
    FROM public.approvals_promotion p
    WHERE (one IS NULL OR p.id = one) AND p.state = 'READY' AND p.starts_by_itself
        AND NOT EXISTS (
            SELECT 1 FROM public.deployments_deployment d
            WHERE d.lane_id = p.lane_id
                AND d.state IN ('QUEUED', 'STARTING', 'MIGRATING', 'APPLYING', 'VERIFYING', 'CANCELLING', 'UNKNOWN')
        )
        -- What did not run once, or was stopped by a person, is started again by a person alone.
        AND NOT EXISTS (
            SELECT 1 FROM public.deployments_deployment d
            WHERE d.promotion_id = p.id AND d.state IN ('ERRORED', 'CANCELLED', 'ABANDONED')
        )
    UNION ALL
    SELECT DISTINCT p.workspace_id, 'SETTLE', p.workspace_id
    FROM public.approvals_promotion p
    WHERE one IS NULL AND p.state IN ('PENDING', 'READY')
$$;

CREATE FUNCTION lanes_at_rest() RETURNS TABLE (workspace_id uuid, id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT l.workspace_id, l.id
    FROM public.environments_lane l
    CROSS JOIN LATERAL (
        SELECT d.state, d.kind FROM public.deployments_deployment d
        WHERE d.lane_id = l.id ORDER BY d.number DESC LIMIT 1
    ) last
    WHERE l.removed_at IS NULL
        AND last.state NOT IN ('STARTING', 'MIGRATING', 'APPLYING', 'VERIFYING', 'CANCELLING', 'UNKNOWN', 'ABANDONED')
        -- After a rollback that failed, a person decides; nothing here does.
        AND NOT (last.state = 'FAILED' AND last.kind = 'ROLLBACK')
$$;

GRANT SELECT ON deployments_deployment, approvals_promotion, environments_lane TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("deployments", "0002_tenancy")]

    operations = [
        migrations.AlterField("step", "started_at", models.DateTimeField(blank=True, null=True)),
        migrations.AlterField(
            "step",
            "verdict",
            models.CharField(
                choices=[
                    ("PLANNED", "Planned"),
                    ("RUNNING", "Running"),
                    ("DONE", "Done"),
                    ("FAILED", "Failed"),
                    ("UNKNOWN", "Not known"),
                    ("SKIPPED", "Not needed"),
                ],
                default="PLANNED",
                max_length=8,
            ),
        ),
        migrations.RemoveConstraint("step", "step_verdict_known"),
        migrations.AddConstraint(
            "step", models.CheckConstraint(condition=Q(verdict__in=list(VERDICTS)), name="step_verdict_known")
        ),
        migrations.AlterField(
            "deployment",
            "rolls_back",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="rollbacks",
                to="deployments.deployment",
            ),
        ),
        migrations.AddConstraint(
            "deployment",
            models.UniqueConstraint(
                condition=Q(state__in=(*OPEN, "SUCCEEDED", "FAILED")),
                fields=("rolls_back",),
                name="deployment_undone_once",
            ),
        ),
        # One for the installation: a lane's target takes no fence below the last, whichever attempt it belongs to.
        migrations.RunSQL("CREATE SEQUENCE deployment_fence", "DROP SEQUENCE deployment_fence"),
        migrations.RunSQL(DUE_WORK, "DROP FUNCTION due_work(interval, uuid); DROP FUNCTION lanes_at_rest();"),
        definer("due_work(interval, uuid)"),
        definer("lanes_at_rest()"),
    ]
