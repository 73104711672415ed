"""What witnesses outside signed of our checkpoints: kept beside them, and as append-only as they are."""

from django.db import migrations, models

from apps.core.row_level_security import protect

TABLE = """
CREATE TABLE audit_cosignature (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    workspace_id uuid NOT NULL,
    tree_size bigint NOT NULL,
    signed_at timestamptz NOT NULL,
    witness text NOT NULL CHECK (witness <> ''),
    line text NOT NULL,
    cosigned_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (workspace_id, tree_size, signed_at, witness),
    FOREIGN KEY (workspace_id, tree_size, signed_at) REFERENCES audit_checkpoint (workspace_id, tree_size, signed_at)
);
CREATE TRIGGER audit_cosignature_refuse_row BEFORE UPDATE OR DELETE ON audit_cosignature
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_cosignature_refuse_truncate BEFORE TRUNCATE ON audit_cosignature
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_cosignature ENABLE ALWAYS TRIGGER audit_cosignature_refuse_row;
ALTER TABLE audit_cosignature ENABLE ALWAYS TRIGGER audit_cosignature_refuse_truncate;
REVOKE ALL ON audit_cosignature FROM eaip_app;
GRANT SELECT, INSERT ON audit_cosignature TO eaip_app;
GRANT SELECT ON audit_cosignature TO eaip_gate, eaip_backup;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0007_subjects")]

    operations = [
        migrations.RunSQL(TABLE, "DROP TABLE audit_cosignature"),
        protect("audit_cosignature"),
        migrations.CreateModel(
            name="Cosignature",
            fields=[
                ("id", models.UUIDField(primary_key=True)),
                ("workspace_id", models.UUIDField()),
                ("tree_size", models.BigIntegerField()),
                ("signed_at", models.DateTimeField()),
                ("witness", models.TextField()),
                ("line", models.TextField()),
                ("cosigned_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
            ],
            options={"db_table": "audit_cosignature", "ordering": ["cosigned_at"], "managed": False},
        ),
    ]
