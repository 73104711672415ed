"""Who could do what, as it was at any moment: kept by the database itself from this migration on (ADR 0107)."""

from django.db import migrations, models

from apps.core.row_level_security import definer, immutable, protect

# Of these rows what says who may do what; names and secrets are not kept. No columns: all but a secret's digest.
OF_A_WORKSPACE = (
    "workspaces_membership",
    "approvals_delegation",
    "workspaces_apitoken",
    "workspaces_workspaceuserpermission",
    "workspaces_workspacegrouppermission",
    "environments_environmentuserpermission",
    "environments_environmentgrouppermission",
    "releases_serviceuserpermission",
    "releases_servicegrouppermission",
)
OF_ALL = {
    "accounts_user": ("id", "is_active", "is_superuser"),
    "accounts_role": ("code", "label", "capabilities"),
    "accounts_user_groups": ("id", "user_id", "group_id"),
}
SECRETS = "'{digest}'::text[]"
TABLES = ", ".join((*OF_A_WORKSPACE, *OF_ALL))

# `row` holds only what was asked for: an update of anything else, such as a sign-in, leaves nothing.
CHANGED = f"""
CREATE FUNCTION access_kept(whole jsonb, columns text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE WHEN whole IS NULL THEN NULL WHEN cardinality(columns) = 0 THEN whole - {SECRETS}
        ELSE (SELECT jsonb_object_agg(key, value) FROM jsonb_each(whole) WHERE key = ANY (columns)) END
$$;
CREATE FUNCTION access_changed() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    was jsonb := CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE public.access_kept(to_jsonb(OLD), TG_ARGV[0]::text[]) END;
    now jsonb := CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE public.access_kept(to_jsonb(NEW), TG_ARGV[0]::text[]) END;
    change record;
BEGIN
    IF was IS NOT DISTINCT FROM now THEN RETURN NULL; END IF;
    FOR change IN
        SELECT COALESCE(key_of->>'id', key_of->>'code') AS key, (key_of->>'workspace_id')::uuid AS workspace, kept
        FROM (
            -- A row that takes another key or workspace is gone from where it was.
            SELECT was AS key_of, NULL::jsonb AS kept WHERE was IS NOT NULL AND (now IS NULL
                OR COALESCE(was->>'id', was->>'code') <> COALESCE(now->>'id', now->>'code')
                OR was->>'workspace_id' IS DISTINCT FROM now->>'workspace_id')
            UNION ALL SELECT now, now WHERE now IS NOT NULL
        ) changes
    LOOP
        IF change.workspace IS NULL THEN
            INSERT INTO public.compliance_identitychange (source, row_key, row, at, through, actor, is_baseline)
            VALUES (TG_TABLE_NAME, change.key, change.kept, clock_timestamp(), session_user,
                NULLIF(current_setting('app.actor', true), '')::uuid, false);
        ELSE
            INSERT INTO public.compliance_accesschange
                (workspace_id, source, row_key, row, at, through, actor, is_baseline)
            VALUES (change.workspace, TG_TABLE_NAME, change.key, change.kept, clock_timestamp(), session_user,
                NULLIF(current_setting('app.actor', true), '')::uuid, false);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
GRANT INSERT, SELECT ON compliance_accesschange, compliance_identitychange TO eaip_gate;
GRANT USAGE ON SEQUENCE compliance_accesschange_id_seq, compliance_identitychange_id_seq TO eaip_gate;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON compliance_accesschange, compliance_identitychange FROM eaip_app;
"""


def _watch(table: str, columns: tuple[str, ...] = ()) -> str:
    return f"""
    CREATE TRIGGER access_changed AFTER INSERT OR UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION access_changed('{{{",".join(columns)}}}');
    ALTER TABLE {table} ENABLE ALWAYS TRIGGER access_changed;
    """


WATCH = "".join([*map(_watch, OF_A_WORKSPACE), *(_watch(table, columns) for table, columns in OF_ALL.items())])
UNWATCH = "".join(f"DROP TRIGGER access_changed ON {table};" for table in (*OF_A_WORKSPACE, *OF_ALL))


def _baseline(table: str, columns: tuple[str, ...] = ()) -> str:
    of_workspace = table in OF_A_WORKSPACE
    kept = f"access_kept(to_jsonb(t), '{{{','.join(columns)}}}')"
    return f"""
    INSERT INTO public.{"compliance_accesschange" if of_workspace else "compliance_identitychange"}
        ({"workspace_id, " if of_workspace else ""}source, row_key, row, at, through, is_baseline)
    SELECT {"t.workspace_id, " if of_workspace else ""}'{table}', {"t.code" if table == "accounts_role" else "t.id"}::text,
        public.{kept}, clock_timestamp(), session_user, true FROM public.{table} t;
    """


# The owner sees no row of a workspace either: the role that may looks once, by a function that is gone afterwards.
BASELINE = f"""
GRANT SELECT ON {TABLES} TO eaip_gate;
CREATE FUNCTION access_baseline() RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    {"".join([*map(_baseline, OF_A_WORKSPACE), *(_baseline(table, columns) for table, columns in OF_ALL.items())])}
END $$;
ALTER FUNCTION access_baseline() OWNER TO eaip_gate;
SELECT access_baseline();
DROP FUNCTION access_baseline();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0001_reviews"),
        ("accounts", "0007_reviewers"),
        ("approvals", "0059_waivers_of_more_reports"),
        ("environments", "0016_admission_denials"),
        ("releases", "0018_traits"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("source", models.CharField(max_length=60)),
                ("row_key", models.CharField(max_length=64)),
                ("row", models.JSONField(null=True)),
                ("at", models.DateTimeField()),
                ("through", models.CharField(max_length=63)),
                ("actor", models.UUIDField(null=True)),
                ("is_baseline", models.BooleanField(default=False)),
                ("workspace_id", models.UUIDField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["workspace_id", "source", "row_key", "-at", "-id"], name="access_as_of")
                ],
            },
        ),
        migrations.CreateModel(
            name="IdentityChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("source", models.CharField(max_length=60)),
                ("row_key", models.CharField(max_length=64)),
                ("row", models.JSONField(null=True)),
                ("at", models.DateTimeField()),
                ("through", models.CharField(max_length=63)),
                ("actor", models.UUIDField(null=True)),
                ("is_baseline", models.BooleanField(default=False)),
            ],
            options={
                "indexes": [models.Index(fields=["source", "row_key", "-at", "-id"], name="identity_as_of")],
            },
        ),
        protect("compliance_accesschange"),
        migrations.RunSQL(CHANGED, "DROP FUNCTION access_changed(), access_kept(jsonb, text[]);"),
        definer("access_changed()"),
        migrations.RunSQL(WATCH, UNWATCH),
        migrations.RunSQL(BASELINE, migrations.RunSQL.noop),
        immutable("compliance_accesschange"),
        immutable("compliance_identitychange"),
    ]
