"""The platform's workspace, row-level security, and the one question about membership that is asked past it."""

from django.db import migrations

from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.row_level_security import definer, protect

PLATFORM = f"""
INSERT INTO workspaces_workspace (id, slug, name, deployment_model, created_at)
VALUES ('{PLATFORM_WORKSPACE_ID}', 'platform', 'EAIP platform', 'PLATFORM', now());
"""

WORKSPACES_OF = """
CREATE FUNCTION workspaces_of(person uuid) RETURNS SETOF uuid LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT workspace_id FROM public.workspaces_membership WHERE user_id = person AND ended_at IS NULL
$$;
GRANT SELECT ON workspaces_membership TO eaip_gate;
"""

TOKEN = """
CREATE FUNCTION workspace_of_token(token_digest text) RETURNS uuid LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT workspace_id FROM public.workspaces_apitoken
    WHERE digest = token_digest AND revoked_at IS NULL AND expires_at > clock_timestamp()
$$;
GRANT SELECT ON workspaces_apitoken TO eaip_gate;
"""

GRANT_OWNER = """
CREATE FUNCTION grant_on_workspace_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.workspace_id := NEW.content_object_id;
    RETURN NEW;
END $$;
CREATE TRIGGER grant_owner BEFORE INSERT ON workspaces_workspaceuserpermission
    FOR EACH ROW EXECUTE FUNCTION grant_on_workspace_owner();
CREATE TRIGGER grant_owner BEFORE INSERT ON workspaces_workspacegrouppermission
    FOR EACH ROW EXECUTE FUNCTION grant_on_workspace_owner();
"""


class Migration(migrations.Migration):
    dependencies = [("workspaces", "0001_initial"), ("audit", "0002_ledger")]

    operations = [
        migrations.RunSQL(PLATFORM, migrations.RunSQL.noop),
        protect("workspaces_workspace", column="id"),
        protect("workspaces_membership"),
        protect("workspaces_apitoken"),
        protect("workspaces_workspaceuserpermission"),
        protect("workspaces_workspacegrouppermission"),
        migrations.RunSQL(WORKSPACES_OF, "DROP FUNCTION workspaces_of(uuid);"),
        definer("workspaces_of(uuid)"),
        migrations.RunSQL(TOKEN, "DROP FUNCTION workspace_of_token(text);"),
        definer("workspace_of_token(text)"),
        migrations.RunSQL(GRANT_OWNER, "DROP FUNCTION grant_on_workspace_owner() CASCADE;"),
    ]
