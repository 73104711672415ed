"""The database's own net under the ledger: governed rows that are changed past the application."""

from django.db import migrations

from apps.audit.net import govern
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.row_level_security import definer

# Writes through `record_event`, in the scope of the row's workspace. Whoever is not the application is always told of;
# the application only where its transaction has no event of the workspace (or the platform) by the time it commits.
NET = f"""
CREATE FUNCTION audit_net() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    platform CONSTANT uuid := '{PLATFORM_WORKSPACE_ID}';
    unwatched CONSTANT text[] := TG_ARGV[0];
    secret CONSTANT text[] := TG_ARGV[1];
    scope CONSTANT text := current_setting('app.workspaces', true);
    actor jsonb := jsonb_build_object('type', 'DATABASE', 'id', 'db:' || session_user, 'label', 'db:' || session_user);
    old_row jsonb := '{{}}';
    new_row jsonb := '{{}}';
    line jsonb;
    owner uuid;
    change jsonb;
    names text;
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN old_row := to_jsonb(OLD) - unwatched; END IF;
    IF TG_OP IN ('UPDATE', 'INSERT') THEN new_row := to_jsonb(NEW) - unwatched; END IF;
    line := CASE WHEN TG_OP IN ('UPDATE', 'INSERT') THEN to_jsonb(NEW) WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD)
        ELSE '{{}}' END;
    owner := COALESCE(CASE TG_TABLE_NAME WHEN 'workspaces_workspace' THEN line->>'id' ELSE line->>'workspace_id' END,
        platform::text)::uuid;
    IF session_user = 'eaip_app' AND TG_OP <> 'TRUNCATE' AND EXISTS (
        SELECT FROM public.audit_event e
        WHERE e.xid = pg_current_xact_id() AND e.recorded_at >= transaction_timestamp()
            AND e.kind <> 'database.changed'
            AND (e.workspace_id IN (owner, platform) OR NOT line ? 'workspace_id')
    ) THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_object_agg(name, jsonb_build_object('before', audit_net_shown(name, was, secret),
            'after', audit_net_shown(name, becomes, secret))), string_agg(name, ', ' ORDER BY name)
        INTO change, names
        FROM (SELECT name, COALESCE(old_row->name, 'null') AS was, COALESCE(new_row->name, 'null') AS becomes
            FROM jsonb_object_keys(old_row || new_row) AS name) AS pairs
        WHERE was <> becomes;
    IF TG_OP = 'UPDATE' AND change IS NULL THEN RETURN NULL; END IF;
    IF current_setting('app.actor', true) <> '' THEN
        actor := actor || jsonb_build_object('on_behalf_of', current_setting('app.actor', true));
    END IF;
    PERFORM set_config('app.workspaces', owner::text, true);
    PERFORM public.record_event(jsonb_build_object(
        'workspace_id', owner, 'kind', 'database.changed', 'outcome', 'SUCCESS', 'actor', actor,
        'target', jsonb_build_object(
            'type', substr(TG_TABLE_NAME, strpos(TG_TABLE_NAME, '_') + 1),
            'id', COALESCE(line->>'id', line->>'code', ''),
            'label', left(COALESCE(line->>'name', line->>'username', line->>'slug', line->>'version', line->>'number',
                ''), 200),
            'table', TG_TABLE_NAME),
        'environment_id', COALESCE(line->>'environment_id',
            CASE TG_TABLE_NAME WHEN 'environments_environment' THEN line->>'id' END),
        'service_id', COALESCE(line->>'service_id', CASE TG_TABLE_NAME WHEN 'releases_service' THEN line->>'id' END),
        'request_id', '',
        'source', jsonb_strip_nulls(jsonb_build_object('via', 'database', 'ip', host(inet_client_addr()),
            'user_agent', NULLIF(current_setting('application_name'), ''))),
        'summary', left(TG_OP || ' of ' || TG_TABLE_NAME || ' past the application'
            || COALESCE(': ' || names, ''), 500),
        'reason', '', 'change', COALESCE(change, '{{}}'), 'approval', '{{}}'::jsonb, 'causation', '{{}}'::jsonb));
    PERFORM set_config('app.workspaces', COALESCE(scope, ''), true);
    RETURN NULL;
END $$;
CREATE FUNCTION audit_net_shown(name text, value jsonb, secret text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN name = ANY (secret) AND value <> 'null'
        THEN to_jsonb('sha256:' || left(encode(sha256(convert_to(value #>> '{{}}', 'UTF8')), 'hex'), 16))
        ELSE value END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0005_search"),
        ("accounts", "0007_reviewers"),
        ("approvals", "0059_waivers_of_more_reports"),
        ("changelogs", "0002_tenancy"),
        ("configuration", "0002_tenancy"),
        ("deployments", "0062_rollbacks_withheld"),
        ("environments", "0016_admission_denials"),
        ("health", "0052_checks_roll_back"),
        ("incidents", "0003_hotfixes_are_merged_back"),
        ("policies", "0006_evidence_and_soak"),
        ("releases", "0018_traits"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.RunSQL(NET, "DROP FUNCTION audit_net(); DROP FUNCTION audit_net_shown(text, jsonb, text[]);"),
        definer("audit_net()", may_run="eaip_owner"),
        govern(
            "accounts_user",
            unwatched=("last_login", "failed_proofs", "failed_proof_at", "last_challenge"),
            secret=("password",),
        ),
        govern("accounts_role"),
        govern(
            "accounts_secondfactor",
            unwatched=("last_used_at", "last_step", "sign_count"),
            secret=("secret", "credential_id", "credential"),
        ),
        govern("accounts_recoverycode", secret=("digest",)),
        govern("workspaces_workspace"),
        govern("workspaces_membership"),
        govern("workspaces_workspaceuserpermission"),
        govern("workspaces_workspacegrouppermission"),
        govern("workspaces_apitoken", secret=("digest",)),
        govern("environments_environment"),
        govern("environments_environmentuserpermission"),
        govern("environments_environmentgrouppermission"),
        govern("environments_resource"),
        govern("environments_lane", unwatched=("health_detail", "health_checked_at", "generation")),
        govern("environments_freeze"),
        govern("environments_hold"),
        govern("environments_window"),
        govern("environments_calendarfeed", secret=("digest",)),
        govern("configuration_configurationversion"),
        govern("releases_service"),
        govern("releases_serviceuserpermission"),
        govern("releases_servicegrouppermission"),
        govern("releases_release"),
        govern("releases_acceptance"),
        govern("releases_eventconsumer"),
        govern("changelogs_changelogentry"),
        govern("incidents_incident"),
        govern("incidents_debt"),
        govern(
            "health_endpointcheck",
            unwatched=("next_check_at", "leased_until", "detail", "bad_in_a_row", "checked_at", "verdict_since"),
        ),
        govern("health_trafficqueries"),
        govern("policies_policyversion"),
        govern("policies_policyproposal"),
        govern("approvals_promotion", unwatched=("gates", "gates_at")),
        govern("approvals_requirement", unwatched=("reminded_at", "escalated_at")),
        govern("approvals_delegation"),
        govern("approvals_decision"),
        govern("approvals_waiver"),
        govern("approvals_tick"),
        govern(
            "deployments_deployment",
            unwatched=(
                "fence", "lease_token", "lease_until", "log_bytes", "log_lines", "probe_after", "probed",
                "first_effect_at", "deadline_at", "terms",
            ),
        ),
        govern("deployments_rollout"),
        govern("deployments_rolloutlane"),
    ]  # fmt: skip
