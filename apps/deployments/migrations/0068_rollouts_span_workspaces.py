"""Roll-outs over several workspaces: guests read the roll-out, each environment's row is in its own workspace."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.row_level_security import SCOPE, definer, final, publish, same_workspace

# The row of an environment is in its own workspace, so no key can say this.
INVITED = """
CREATE FUNCTION deployments_rolloutlane_invited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM deployments_rollout r
        WHERE r.id = NEW.rollout_id AND NEW.workspace_id = ANY (r.workspace_id || r.guests)
    ) THEN
        RAISE EXCEPTION 'deployments_rolloutlane: the roll-out does not come to this workspace'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER deployments_rolloutlane_invited BEFORE INSERT OR UPDATE OF workspace_id, rollout_id
    ON deployments_rolloutlane FOR EACH ROW EXECUTE FUNCTION deployments_rolloutlane_invited();
ALTER TABLE deployments_rolloutlane ENABLE ALWAYS TRIGGER deployments_rolloutlane_invited;
"""
NOT_INVITED = """
DROP TRIGGER deployments_rolloutlane_invited ON deployments_rolloutlane;
DROP FUNCTION deployments_rolloutlane_invited();
"""

RUNNING = """
DROP FUNCTION rollouts_running(uuid);
CREATE FUNCTION rollouts_running(one uuid DEFAULT NULL) RETURNS TABLE ({columns}, id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT {found}, r.id FROM public.deployments_rollout r
    WHERE r.state = 'RUNNING' AND (one IS NULL OR r.id = one) ORDER BY r.number
$$;
"""
IN_ALL = RUNNING.format(columns="workspaces uuid[]", found="r.workspace_id || r.guests")
IN_ONE = RUNNING.format(columns="workspace_id uuid", found="r.workspace_id")
PAST_THE_SCOPE = definer("rollouts_running(uuid)")

NAME = "deployments_rolloutlane_rollout_id_same_workspace"


class Migration(migrations.Migration):
    dependencies = [
        ("deployments", "0067_hurt_exactly"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="rollout",
            name="guests",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(), blank=True, db_default=[], default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="rolloutlane",
            name="state",
            field=models.CharField(
                choices=[("IN", "Takes part"), ("HELD", "Held"), ("LEFT", "Left")],
                db_default="IN",
                default="IN",
                max_length=4,
            ),
        ),
        migrations.AddField(
            model_name="rolloutlane",
            name="reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=300),
        ),
        migrations.AddField(
            model_name="rolloutlane", name="decided_at", field=models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField(
            model_name="rolloutlane",
            name="decided_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutlane",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["IN", "HELD", "LEFT"])), name="rollout_lane_state_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutlane",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_at__isnull", True), ("decided_by__isnull", True)),
                    models.Q(("decided_at__isnull", False), ("decided_by__isnull", False)),
                    _connector="OR",
                ),
                name="rollout_lane_decided_whole",
            ),
        ),
        final("deployments_rolloutlane", ("LEFT",)),
        migrations.RunSQL(
            f"ALTER TABLE deployments_rolloutlane DROP CONSTRAINT {NAME}",
            str(same_workspace("deployments_rolloutlane", "rollout_id", "deployments_rollout").sql),
        ),
        migrations.RunSQL(INVITED, NOT_INVITED),
        publish("deployments_rollout", f"guests && {SCOPE}"),
        migrations.RunSQL(IN_ALL, IN_ONE + str(PAST_THE_SCOPE.sql)),
        PAST_THE_SCOPE,
    ]
