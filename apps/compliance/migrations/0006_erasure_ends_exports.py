"""What was exported before an erasure holds the name: such files go at once, and what is being written begins anew."""

from django.db import migrations

from apps.core.row_level_security import definer

# A file may hold entries of several workspaces, of which the row belongs to one; whoever erases sees neither.
END = """
CREATE FUNCTION end_exports(erasure uuid, concerned uuid[]) RETURNS bigint LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    ended bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM public.compliance_erasure r JOIN public.compliance_proposal p ON p.id = r.proposal_id
                   WHERE r.id = erasure AND p.wish = 'ERASURE' AND p.state = 'CONFIRMED') THEN
        RAISE EXCEPTION 'end_exports: nobody confirmed it' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE public.compliance_auditexport SET lease_token = gen_random_uuid(), lease_until = clock_timestamp()
    WHERE state = 'RUNNING' AND workspaces && concerned;
    UPDATE public.compliance_auditexport SET expires_at = clock_timestamp(),
        detail = 'Removed before its time: it may have held personal data that were erased. Export again.'
    WHERE state = 'DONE' AND workspaces && concerned AND expires_at > clock_timestamp();
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END $$;
GRANT UPDATE (lease_token, lease_until, expires_at, detail) ON compliance_auditexport TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("compliance", "0005_exports_and_streams")]

    operations = [
        migrations.RunSQL(END, "DROP FUNCTION end_exports(uuid, uuid[]);"),
        definer("end_exports(uuid, uuid[])"),
    ]
