"""Migration operations for row-level security: one policy for every tenant table (ADR 0008).

The scope is the setting `app.workspaces`, a comma-separated list of workspace ids that lives as long as the
transaction. Unset, a tenant table shows no row and takes none.
"""

from django.db import migrations

SCOPE = "(SELECT string_to_array(NULLIF(current_setting('app.workspaces', true), ''), ',')::uuid[])::uuid[]"


def protect(table: str, *, column: str = "workspace_id") -> migrations.RunSQL:
    """Return the operation that shows and takes only rows of the workspaces in scope, for the owner too."""
    return migrations.RunSQL(
        f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY workspace_scope ON {table}
            USING ({column} = ANY ({SCOPE})) WITH CHECK ({column} = ANY ({SCOPE}));
        """,
        f"DROP POLICY workspace_scope ON {table}; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;",
    )


def publish(table: str, condition: str = "is_published") -> migrations.RunSQL:
    """Return the operation that lets every workspace read a catalogue row that its owner published."""
    return migrations.RunSQL(
        f"CREATE POLICY published ON {table} FOR SELECT USING ({condition});",
        f"DROP POLICY published ON {table};",
    )


def same_workspace(table: str, column: str, other: str) -> migrations.RunSQL:
    """Return the operation that makes `table.column` refer to a row of `other` in the same workspace only."""
    name = f"{table}_{column}_same_workspace"[:63]
    return migrations.RunSQL(
        f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = '{other}_workspace_and_id') THEN
                ALTER TABLE {other} ADD CONSTRAINT {other}_workspace_and_id UNIQUE (workspace_id, id);
            END IF;
        END $$;
        ALTER TABLE {table} ADD CONSTRAINT {name}
            FOREIGN KEY (workspace_id, {column}) REFERENCES {other} (workspace_id, id) DEFERRABLE INITIALLY DEFERRED;
        """,  # noqa: S608  the names are the migrations' own
        f"ALTER TABLE {table} DROP CONSTRAINT {name};",
    )


def immutable(
    table: str, columns: tuple[str, ...] = (), *, when: str = "true", name: str = "immutable"
) -> migrations.RunSQL:
    """Return the operation that refuses changes of `columns` (all, if none is named) and the removal of a row.

    `when` is a condition on OLD: the refusal holds from the moment it is true. A second one of a table needs a `name`.
    """
    changed = f"({', '.join(f'OLD.{c}' for c in columns)}) IS DISTINCT FROM ({', '.join(f'NEW.{c}' for c in columns)})"
    return migrations.RunSQL(
        f"""
        CREATE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT ({when}) THEN RETURN COALESCE(NEW, OLD); END IF;
            IF TG_OP = 'UPDATE' AND NOT ({changed if columns else "true"}) THEN RETURN NEW; END IF;
            RAISE EXCEPTION '{table}: this row can not be changed or removed'
                USING ERRCODE = 'integrity_constraint_violation';
        END $$;
        CREATE TRIGGER {table}_{name} BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION {table}_{name}();
        ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{name};
        """,
        f"DROP TRIGGER {table}_{name} ON {table}; DROP FUNCTION {table}_{name}();",
    )


def final(table: str, states: tuple[str, ...]) -> migrations.RunSQL:
    """Return the operation that refuses to leave one of the terminal `states`."""
    words = ", ".join(f"'{state}'" for state in states)
    return migrations.RunSQL(
        f"""
        CREATE FUNCTION {table}_final() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.state IN ({words}) AND NEW.state <> OLD.state THEN
                RAISE EXCEPTION '{table}: % is final', OLD.state USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER {table}_final BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_final();
        ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_final;
        """,
        f"DROP TRIGGER {table}_final ON {table}; DROP FUNCTION {table}_final();",
    )


def definer(name_and_arguments: str, *, may_run: str = "eaip_app") -> migrations.RunSQL:
    """Return the operation that gives a SECURITY DEFINER function to the role that may see past the scope."""
    return migrations.RunSQL(
        f"""
        ALTER FUNCTION {name_and_arguments} OWNER TO eaip_gate;
        REVOKE ALL ON FUNCTION {name_and_arguments} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {name_and_arguments} TO {may_run};
        """,
        migrations.RunSQL.noop,
    )
