"""Personal data stay out of the sealed bytes (ADR 0104): an entry of version 2 holds ids and salted commitments.

What a commitment opens to is a row of `audit_subject`, which can be erased. What pages show are columns, which can be
blanked. Both is done by two functions alone, `erase_person` and `cut_events` (compliance 0004).

Going back keeps what was written since: nobody but us could say again what a commitment opens to. The table of
openings stays, append-only and shown to nobody, the column too, and entries are of version 1 again. Going forward finds
both.
"""

from importlib import import_module

from django.db import migrations

from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.row_level_security import SCOPE, definer, protect

ledger = import_module("apps.audit.migrations.0002_ledger")

# One row for what is equal within a month and a workspace: what is cut away with its months needs no counting then.
# Writers wait for nobody, so two at once may each make one.
TABLE = """
CREATE TABLE IF NOT EXISTS audit_subject (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL,
    month date NOT NULL,
    person_id text NOT NULL,
    commitment bytea NOT NULL CHECK (length(commitment) = 32),
    salt bytea,
    opening text,
    erased_at timestamptz,
    CONSTRAINT subject_erased_whole CHECK ((erased_at IS NULL) = (salt IS NOT NULL)
        AND (erased_at IS NULL) = (opening IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS audit_subject_known ON audit_subject (workspace_id, month, hashtextextended(opening, 0));
CREATE INDEX IF NOT EXISTS audit_subject_person ON audit_subject (person_id) WHERE erased_at IS NULL;
ALTER TABLE audit_event ADD COLUMN IF NOT EXISTS people text[] NOT NULL DEFAULT '{}';
CREATE INDEX IF NOT EXISTS audit_event_people ON audit_event USING gin (people) WHERE people <> '{}';
"""

# Nobody signs in as eaip_gate: what runs as this role are the functions that it owns, and of those these two alone write
# here anything but new rows.
REFUSE = """
CREATE OR REPLACE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    shown CONSTANT text[] := '{actor_label,target_label,summary,reason,actor,source,target,change,approval}';
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'eaip_gate' THEN RETURN OLD; END IF;
    IF TG_OP = 'UPDATE' AND current_user = 'eaip_gate' AND to_jsonb(NEW) - shown = to_jsonb(OLD) - shown THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_event: % is refused, the ledger is append-only', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE FUNCTION audit_subject_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erased CONSTANT text[] := '{salt,opening,erased_at}';
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'eaip_gate' THEN RETURN OLD; END IF;
    IF TG_OP = 'UPDATE' AND current_user = 'eaip_gate' AND NEW.erased_at IS NOT NULL
        AND to_jsonb(NEW) - erased = to_jsonb(OLD) - erased
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_subject: % is refused, it is erased with a person or cut with its entries', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE OR REPLACE TRIGGER audit_subject_refuse_row BEFORE UPDATE OR DELETE ON audit_subject
    FOR EACH ROW EXECUTE FUNCTION audit_subject_refuse();
CREATE OR REPLACE TRIGGER audit_subject_refuse_truncate BEFORE TRUNCATE ON audit_subject
    FOR EACH STATEMENT EXECUTE FUNCTION audit_subject_refuse();
ALTER TABLE audit_subject ENABLE ALWAYS TRIGGER audit_subject_refuse_row;
ALTER TABLE audit_subject ENABLE ALWAYS TRIGGER audit_subject_refuse_truncate;

REVOKE ALL ON audit_subject FROM eaip_app;
GRANT SELECT ON audit_subject TO eaip_app, eaip_backup;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit_subject TO eaip_gate;
GRANT UPDATE (actor_label, target_label, summary, reason, actor, source, target, change, approval), DELETE
    ON audit_event TO eaip_gate;
"""
REFUSE_AS_BEFORE = """
CREATE OR REPLACE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_event: % is refused, the ledger is append-only', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
REVOKE UPDATE (actor_label, target_label, summary, reason, actor, source, target, change, approval), DELETE
    ON audit_event FROM eaip_gate;
REVOKE ALL ON audit_subject FROM eaip_app, eaip_gate;
"""

# What an opening holds is written by jsonb: docs/reference/audit.md says its bytes.
OPENED = """
CREATE FUNCTION audit_opened(owner uuid, moment timestamptz, person text, opened jsonb) RETURNS jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    said CONSTANT text := opened::text;
    in_month CONSTANT date := date_trunc('month', moment AT TIME ZONE 'UTC');
    fresh bytea;
    key uuid;
    sealed bytea;
BEGIN
    SELECT id, commitment INTO key, sealed FROM public.audit_subject
        WHERE workspace_id = owner AND month = in_month AND hashtextextended(opening, 0) = hashtextextended(said, 0)
            AND opening = said AND person_id = person LIMIT 1;
    IF NOT FOUND THEN
        fresh := uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
        sealed := sha256(fresh || convert_to(said, 'UTF8'));
        INSERT INTO public.audit_subject (workspace_id, month, person_id, commitment, salt, opening)
            VALUES (owner, in_month, person, sealed, fresh, said) RETURNING id INTO key;
    END IF;
    RETURN jsonb_build_object('subject', key, 'commitment', encode(sealed, 'hex'));
END $$;
"""

# As version 1 of it, but for what is personal: of the actor the name, the address and the browser; of a person who is
# the target the name and what their row says of them; and the names that texts have tokens for.
WRITE = """
CREATE FUNCTION write_event(event jsonb) RETURNS uuid LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    id uuid := uuidv7();
    moment timestamptz := clock_timestamp();
    owner uuid := (event->>'workspace_id')::uuid;
    personal CONSTANT text[] := '{username,display_name,first_name,last_name,email}';
    actor jsonb := event->'actor';
    target jsonb := event->'target';
    source jsonb := event->'source';
    change jsonb := coalesce(event->'sealed'->'change', event->'change');
    is_person boolean := actor->>'type' = 'PERSON';
    -- Whose data the address and the browser are.
    whose text := coalesce(CASE WHEN actor->>'type' = 'PERSON' THEN event->'actor'->>'id' END,
        event->'actor'->>'on_behalf_of', CASE WHEN target->>'type' = 'user' THEN event->'target'->>'id' END, '');
    named text[] := '{}';
    opened jsonb;
    sealed jsonb := '{}';
    key text; label text;
    whole jsonb;
BEGIN
    opened := jsonb_strip_nulls(jsonb_build_object('label', CASE WHEN is_person THEN actor->'label' END,
        'ip', source->'ip', 'user_agent', source->'user_agent'));
    IF opened <> '{}' THEN
        actor := CASE WHEN is_person THEN actor - 'label' ELSE actor END
            || public.audit_opened(owner, moment, whose, opened);
        source := source - '{ip,user_agent}'::text[];
        IF whose NOT IN ('', event->'actor'->>'id', event->'target'->>'id') THEN named := named || whose; END IF;
    END IF;
    IF target->>'type' = 'user' THEN
        opened := jsonb_build_object('label', target->'label');
        IF change ?| personal THEN
            opened := opened || jsonb_build_object('change',
                (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(change) c WHERE c.key = ANY (personal)));
            change := change - personal;
        END IF;
        target := target - 'label' || public.audit_opened(owner, moment, target->>'id', opened);
    ELSIF event->'sealed' ? 'target_label' THEN
        target := target || jsonb_build_object('label', event->'sealed'->'target_label');
    END IF;
    FOR key, label IN SELECT * FROM jsonb_each_text(event->'people') LOOP
        sealed := sealed || jsonb_build_object(key,
            public.audit_opened(owner, moment, key, jsonb_build_object('label', label)));
        named := named || key;
    END LOOP;
    IF sealed <> '{}' THEN sealed := jsonb_build_object('people', sealed); END IF;
    whole := (event - '{sealed,people}'::text[]) || sealed || jsonb_build_object(
        'actor', actor, 'target', target, 'source', source, 'change', change,
        'summary', coalesce(event->'sealed'->'summary', event->'summary'),
        'reason', coalesce(event->'sealed'->'reason', event->'reason'),
        'approval', coalesce(event->'sealed'->'approval', event->'approval'),
        'event_id', id, 'schema_version', 2, 'xid', pg_current_xact_id()::text,
        'recorded_at', to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    INSERT INTO public.audit_event (event_id, workspace_id, recorded_at, kind, outcome, actor_type, actor_id,
        actor_label, target_type, target_id, target_label, environment_id, service_id, request_id, summary, reason,
        actor, source, target, change, approval, causation, schema_version, canonical, people)
    VALUES (id, owner, moment, event->>'kind', event->>'outcome', event->'actor'->>'type', event->'actor'->>'id',
        event->'actor'->>'label', event->'target'->>'type', event->'target'->>'id', event->'target'->>'label',
        (event->>'environment_id')::uuid, (event->>'service_id')::uuid, event->>'request_id', event->>'summary',
        event->>'reason', event->'actor', event->'source', event->'target', event->'change', event->'approval',
        event->'causation', 2, convert_to(whole::text, 'UTF8'), named);
    RETURN id;
END $$;
"""

# The door of all, which asks for the scope; and that of the sealer, which works for all workspaces. By what names a key
# or proves a cut an auditor judges the rest, so neither comes from anybody else (of cuts: `record_cut`, compliance 0004).
RECORD = f"""
CREATE OR REPLACE FUNCTION record_event(event jsonb) RETURNS uuid LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    owner uuid := (event->>'workspace_id')::uuid;
BEGIN
    IF owner IS NULL OR (owner <> '{PLATFORM_WORKSPACE_ID}' AND NOT COALESCE(owner = ANY ({SCOPE}), false)) THEN
        RAISE EXCEPTION 'record_event: workspace % is not in scope', owner USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF event->>'kind' IN ('audit.key_rotated', 'retention.cut') THEN
        RAISE EXCEPTION 'record_event: % has a door of its own', event->>'kind' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN public.write_event(event);
END $$;
CREATE FUNCTION record_rotation(event jsonb) RETURNS uuid LANGUAGE sql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT public.write_event(event || '{{"kind": "audit.key_rotated"}}')
$$;
"""

RECORD_AS_BEFORE = f"""
{ledger.RECORD.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)}
DROP FUNCTION record_rotation(jsonb);
DROP FUNCTION write_event(jsonb);
"""

# What is left of a month that was cut in every workspace. As the owner, whom the policy of the whole table stops, and of
# a partition none. A moment's lock of all of the ledger: whoever waits too long for it comes again.
DROP = """
CREATE FUNCTION drop_empty_audit_partitions() RETURNS integer LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    name text; filled boolean; dropped integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    FOR name IN
        SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent = 'public.audit_event'::regclass AND c.relname ~ '^audit_event_[0-9]{4}_[0-9]{2}$'
            AND to_date(right(c.relname, 7), 'YYYY_MM') < clock_timestamp() AT TIME ZONE 'UTC' - interval '13 months'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO filled;
        CONTINUE WHEN filled;
        EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', name);
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO filled;
        CONTINUE WHEN filled;
        EXECUTE format('DROP TABLE public.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
REVOKE ALL ON FUNCTION drop_empty_audit_partitions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_empty_audit_partitions() TO eaip_app;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_net")]

    operations = [
        migrations.RunSQL(TABLE + REFUSE, REFUSE_AS_BEFORE),
        protect("audit_subject"),
        migrations.RunSQL(OPENED, "DROP FUNCTION audit_opened(uuid, timestamptz, text, jsonb);"),
        migrations.RunSQL(DROP, "DROP FUNCTION drop_empty_audit_partitions();"),
        migrations.RunSQL(WRITE + RECORD, RECORD_AS_BEFORE),
        definer("write_event(jsonb)", may_run="eaip_gate"),
        definer("record_rotation(jsonb)", may_run="eaip_sealer"),
    ]
