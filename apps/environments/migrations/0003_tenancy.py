"""Row-level security, and claims of resources, which are unique over all workspaces."""

from django.db import migrations

from apps.core.row_level_security import SCOPE, definer, protect, same_workspace

CLAIM = f"""
CREATE FUNCTION claim_resource(environment uuid, resource_kind text, resource_uri text, resource_normalised text,
    person uuid, moment timestamptz, OUT resource uuid, OUT owner_workspace uuid, OUT owner_environment text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    asker uuid;
BEGIN
    SELECT e.workspace_id INTO asker FROM public.environments_environment e WHERE e.id = environment;
    IF asker IS NULL OR NOT COALESCE(asker = ANY ({SCOPE}), false) THEN
        RAISE EXCEPTION 'claim_resource: environment % is not in scope', environment
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO public.environments_resource
        (id, workspace_id, environment_id, kind, uri, normalised, claimed_at, claimed_by_id)
    VALUES (gen_random_uuid(), asker, environment, resource_kind, resource_uri, resource_normalised, moment, person)
    ON CONFLICT (normalised) WHERE released_at IS NULL DO NOTHING RETURNING id INTO resource;
    IF resource IS NULL THEN
        SELECT r.workspace_id, e.name INTO owner_workspace, owner_environment
        FROM public.environments_resource r JOIN public.environments_environment e ON e.id = r.environment_id
        WHERE r.normalised = resource_normalised AND r.released_at IS NULL;
    END IF;
END $$;
GRANT SELECT ON environments_environment TO eaip_gate;
GRANT SELECT, INSERT ON environments_resource TO eaip_gate;
REVOKE INSERT ON environments_resource FROM eaip_app;
"""

GRANT_OWNER = """
CREATE FUNCTION grant_on_environment_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT workspace_id INTO STRICT NEW.workspace_id FROM environments_environment WHERE id = NEW.content_object_id;
    RETURN NEW;
END $$;
CREATE TRIGGER grant_owner BEFORE INSERT ON environments_environmentuserpermission
    FOR EACH ROW EXECUTE FUNCTION grant_on_environment_owner();
CREATE TRIGGER grant_owner BEFORE INSERT ON environments_environmentgrouppermission
    FOR EACH ROW EXECUTE FUNCTION grant_on_environment_owner();
"""

# A freeze of everything is the platform's, and every workspace must see what holds it.
ALL_SEE = """
CREATE POLICY everybody_is_held ON environments_freeze FOR SELECT USING (scope = 'ALL');
"""


class Migration(migrations.Migration):
    dependencies = [("environments", "0002_lanes_know_services"), ("workspaces", "0002_tenancy")]

    operations = [
        protect("environments_environment"),
        protect("environments_environmentuserpermission"),
        protect("environments_environmentgrouppermission"),
        protect("environments_resource"),
        protect("environments_lane"),
        protect("environments_freeze"),
        protect("environments_hold"),
        protect("environments_window"),
        migrations.RunSQL(ALL_SEE, "DROP POLICY everybody_is_held ON environments_freeze;"),
        same_workspace("environments_resource", "environment_id", "environments_environment"),
        same_workspace("environments_lane", "environment_id", "environments_environment"),
        same_workspace("environments_freeze", "environment_id", "environments_environment"),
        same_workspace("environments_freeze", "lane_id", "environments_lane"),
        same_workspace("environments_hold", "lane_id", "environments_lane"),
        same_workspace("environments_window", "environment_id", "environments_environment"),
        migrations.RunSQL(CLAIM, "DROP FUNCTION claim_resource(uuid, text, text, text, uuid, timestamptz);"),
        definer("claim_resource(uuid, text, text, text, uuid, timestamptz)"),
        migrations.RunSQL(GRANT_OWNER, "DROP FUNCTION grant_on_environment_owner() CASCADE;"),
    ]
