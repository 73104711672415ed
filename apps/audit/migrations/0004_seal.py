"""What seals the ledger (ADR 0099): leaves, the roots of whole tiles, checkpoints. Written by the role eaip_sealer alone.

A leaf keeps its hash when the entry is cut away, so that every proof still holds. Nothing refers to the ledger's rows.
"""

from django.db import migrations, models

from apps.core.row_level_security import protect

APPEND_ONLY = ("audit_leaf", "audit_node", "audit_checkpoint")
TENANT = (*APPEND_ONLY, "audit_tree")

TABLES = """
CREATE TABLE audit_leaf (
    workspace_id uuid NOT NULL,
    leaf_index bigint NOT NULL CHECK (leaf_index >= 0),
    event_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32),
    PRIMARY KEY (workspace_id, leaf_index),
    UNIQUE (workspace_id, event_id)
);
-- The root over the leaves from index << level on, (index + 1) << level excluded: for levels 8, 16, 24 ...
CREATE TABLE audit_node (
    workspace_id uuid NOT NULL,
    level smallint NOT NULL CHECK (level > 0 AND level % 8 = 0),
    index bigint NOT NULL CHECK (index >= 0),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (workspace_id, level, index)
);
CREATE TABLE audit_checkpoint (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    workspace_id uuid NOT NULL,
    tree_size bigint NOT NULL CHECK (tree_size >= 0),
    root_hash bytea NOT NULL CHECK (length(root_hash) = 32),
    signed_at timestamptz NOT NULL,
    key_id text NOT NULL,
    note text NOT NULL,
    UNIQUE (workspace_id, tree_size, signed_at)
);
CREATE INDEX audit_checkpoint_page ON audit_checkpoint (workspace_id, signed_at DESC, id DESC);
-- Where each tree stands: its size and the roots of the perfect subtrees that it is made of, largest first.
CREATE TABLE audit_tree (
    workspace_id uuid PRIMARY KEY,
    size bigint NOT NULL CHECK (size >= 0),
    peaks bytea NOT NULL,
    refused text NOT NULL DEFAULT '',
    refused_at timestamptz
);
-- One row: every entry of a transaction before `next_xid` is sealed, as this server counts them. Who seals holds it,
-- says when it looked last, and of how many trees it refuses to sign what it found.
CREATE TABLE audit_sealing (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    next_xid xid8 NOT NULL,
    server text NOT NULL,
    looked_at timestamptz,
    refused integer NOT NULL DEFAULT 0
);
INSERT INTO audit_sealing (next_xid, server) VALUES ('0'::xid8, '');
CREATE TABLE audit_key (
    key_id text PRIMARY KEY,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    valid_from timestamptz NOT NULL DEFAULT clock_timestamp(),
    valid_until timestamptz
);

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: % is refused, the ledger is append-only', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
"""


def close(table: str, *, may: str) -> migrations.RunSQL:
    """Return the operation that leaves the application to read, and the sealer, over all workspaces, what it `may`."""
    return migrations.RunSQL(
        f"""
        REVOKE ALL ON {table} FROM eaip_app;
        GRANT SELECT ON {table} TO eaip_app, eaip_gate, eaip_backup;
        GRANT {may} ON {table} TO eaip_sealer;
        """,
        migrations.RunSQL.noop,
    )


def append_only(table: str) -> migrations.RunSQL:
    """Return the operation that has the database refuse every change of what is there, in replica mode too."""
    return migrations.RunSQL(
        f"""
        CREATE TRIGGER {table}_refuse_row BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION audit_refuse();
        CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
        ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuse_row;
        ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuse_truncate;
        """,
        migrations.RunSQL.noop,
    )


def for_the_sealer(table: str, *, doing: str = "ALL") -> migrations.RunSQL:
    """Return the operation that lets the sealer, which works for all workspaces, pass the scope."""
    rows = "USING (true)" if doing == "SELECT" else "USING (true) WITH CHECK (true)"
    return migrations.RunSQL(
        f"CREATE POLICY sealer ON {table} FOR {doing} TO eaip_sealer {rows};", f"DROP POLICY sealer ON {table};"
    )


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_close_library_tables")]

    operations = [
        migrations.RunSQL(
            TABLES,
            f"DROP TABLE {', '.join(TENANT)}, audit_sealing, audit_key; DROP FUNCTION audit_refuse();",
        ),
        *(protect(table) for table in TENANT),
        *(for_the_sealer(table) for table in TENANT),
        for_the_sealer("audit_event", doing="SELECT"),
        *(append_only(table) for table in APPEND_ONLY),
        *(close(table, may="SELECT, INSERT") for table in APPEND_ONLY),
        close("audit_tree", may="SELECT, INSERT, UPDATE"),
        close("audit_sealing", may="SELECT, UPDATE"),
        close("audit_key", may="SELECT, INSERT, UPDATE (valid_until)"),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("id", models.UUIDField(primary_key=True)),
                ("workspace_id", models.UUIDField()),
                ("tree_size", models.BigIntegerField()),
                ("root_hash", models.BinaryField()),
                ("signed_at", models.DateTimeField()),
                ("key_id", models.CharField(max_length=8)),
                ("note", models.TextField()),
            ],
            options={"db_table": "audit_checkpoint", "ordering": ["-signed_at", "-id"], "managed": False},
        ),
    ]
