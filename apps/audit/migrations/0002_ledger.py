"""The ledger's table, the only function that writes it, and the triggers that refuse everything else."""

from django.db import migrations

from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.row_level_security import SCOPE, definer, protect

TABLE = """
CREATE TABLE audit_event (
    event_id uuid NOT NULL DEFAULT uuidv7(),
    workspace_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('SUCCESS', 'REFUSED', 'FAILED')),
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    actor_label text NOT NULL,
    target_type text NOT NULL,
    target_id text NOT NULL,
    target_label text NOT NULL,
    environment_id uuid,
    service_id uuid,
    request_id text NOT NULL,
    summary text NOT NULL,
    reason text NOT NULL,
    actor jsonb NOT NULL,
    source jsonb NOT NULL,
    target jsonb NOT NULL,
    change jsonb NOT NULL,
    approval jsonb NOT NULL,
    causation jsonb NOT NULL,
    schema_version smallint NOT NULL DEFAULT 1,
    canonical bytea NOT NULL,
    PRIMARY KEY (event_id, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE TABLE audit_event_later PARTITION OF audit_event DEFAULT;
CREATE INDEX audit_event_page ON audit_event (workspace_id, recorded_at DESC, event_id DESC);
CREATE INDEX audit_event_target ON audit_event (target_type, target_id, recorded_at DESC, event_id DESC);
CREATE INDEX audit_event_actor ON audit_event (actor_id, recorded_at DESC);
CREATE INDEX audit_event_kind ON audit_event (kind, recorded_at DESC);
CREATE INDEX audit_event_environment ON audit_event (environment_id, recorded_at DESC);
CREATE INDEX audit_event_service ON audit_event (service_id, recorded_at DESC);
CREATE INDEX audit_event_xid ON audit_event (xid);

CREATE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_event: % is refused, the ledger is append-only', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_event_refuse_row BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_refuse();
CREATE TRIGGER audit_event_refuse_truncate BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_refuse();
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_event_refuse_row;
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_event_refuse_truncate;
CREATE TRIGGER audit_event_later_refuse_truncate BEFORE TRUNCATE ON audit_event_later
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_refuse();
ALTER TABLE audit_event_later ENABLE ALWAYS TRIGGER audit_event_refuse_row;
ALTER TABLE audit_event_later ENABLE ALWAYS TRIGGER audit_event_later_refuse_truncate;
REVOKE ALL ON audit_event, audit_event_later FROM eaip_app;
GRANT SELECT ON audit_event TO eaip_app;
GRANT SELECT ON audit_event TO eaip_gate, eaip_sealer, eaip_backup;
GRANT INSERT ON audit_event TO eaip_gate;
"""

# A partition is born with the same rules; run ahead of time, since a month can't be split off the default later.
PARTITIONS = """
CREATE FUNCTION ensure_audit_partitions(months integer) RETURNS integer LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    first date; name text; made integer := 0;
BEGIN
    FOR i IN 0..months LOOP
        first := (date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + make_interval(months => i))::date;
        name := 'audit_event_' || to_char(first, 'YYYY_MM');
        CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.audit_event FOR VALUES FROM (%L) TO (%L)', name,
            first::timestamp AT TIME ZONE 'UTC', (first + interval '1 month')::timestamp AT TIME ZONE 'UTC');
        EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER audit_event_refuse_row', name);
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON public.%I FOR EACH STATEMENT '
            'EXECUTE FUNCTION public.audit_event_refuse()', name);
        EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER refuse_truncate', name);
        EXECUTE format('REVOKE ALL ON public.%I FROM eaip_app', name);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ensure_audit_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_audit_partitions(integer) TO eaip_app;
SELECT ensure_audit_partitions(12);
"""

# Writes past the scope on purpose, so it checks the scope itself. Events without a tenant belong to the platform.
# The canonical bytes are made here, where the time and the transaction id are known, and stored as they will be hashed.
RECORD = f"""
CREATE FUNCTION record_event(event jsonb) RETURNS uuid LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    id uuid := uuidv7();
    moment timestamptz := clock_timestamp();
    owner uuid := (event->>'workspace_id')::uuid;
    whole jsonb;
BEGIN
    IF owner IS NULL OR (owner <> '{PLATFORM_WORKSPACE_ID}' AND NOT COALESCE(owner = ANY ({SCOPE}), false)) THEN
        RAISE EXCEPTION 'record_event: workspace % is not in scope', owner USING ERRCODE = 'insufficient_privilege';
    END IF;
    whole := event || jsonb_build_object(
        'event_id', id, 'schema_version', 1, 'xid', pg_current_xact_id()::text,
        'recorded_at', to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    INSERT INTO public.audit_event (event_id, workspace_id, recorded_at, kind, outcome, actor_type, actor_id,
        actor_label, target_type, target_id, target_label, environment_id, service_id, request_id, summary, reason,
        actor, source, target, change, approval, causation, canonical)
    VALUES (id, owner, moment, event->>'kind', event->>'outcome', event->'actor'->>'type', event->'actor'->>'id',
        event->'actor'->>'label', event->'target'->>'type', event->'target'->>'id', event->'target'->>'label',
        (event->>'environment_id')::uuid, (event->>'service_id')::uuid, event->>'request_id', event->>'summary',
        event->>'reason', event->'actor', event->'source', event->'target', event->'change', event->'approval',
        event->'causation', convert_to(whole::text, 'UTF8'));
    RETURN id;
END $$;
"""

FIELD_HISTORY = f"""
CREATE FUNCTION field_history_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.workspace_id := COALESCE((NEW.additional_data->>'workspace')::uuid, '{PLATFORM_WORKSPACE_ID}');
    NEW.actor_id := NULLIF(current_setting('app.actor', true), '')::uuid;
    RETURN NEW;
END $$;
CREATE TRIGGER field_history_owner BEFORE INSERT ON audit_fieldhistory
    FOR EACH ROW EXECUTE FUNCTION field_history_owner();
ALTER TABLE audit_fieldhistory ALTER COLUMN workspace_id SET NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(TABLE, "DROP TABLE audit_event; DROP FUNCTION audit_event_refuse();"),
        protect("audit_event"),
        migrations.RunSQL(PARTITIONS, "DROP FUNCTION ensure_audit_partitions(integer);"),
        migrations.RunSQL(RECORD, "DROP FUNCTION record_event(jsonb);"),
        definer("record_event(jsonb)"),
        migrations.RunSQL(FIELD_HISTORY, "DROP FUNCTION field_history_owner() CASCADE;"),
        protect("audit_fieldhistory"),
    ]
