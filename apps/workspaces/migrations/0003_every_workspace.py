"""Which workspaces there are, for what measures the installation as a whole and for no person."""

from django.db import migrations

from apps.core.row_level_security import definer

EVERY = """
CREATE FUNCTION every_workspace() RETURNS SETOF uuid LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT id FROM public.workspaces_workspace
$$;
GRANT SELECT ON workspaces_workspace TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [("workspaces", "0002_tenancy")]

    operations = [
        migrations.RunSQL(EVERY, "DROP FUNCTION every_workspace();"),
        definer("every_workspace()"),
    ]
