"""The net under the ledger: what changes a governed row past the application is recorded by the database itself.

`audit_net()` (migration 0006) is the one trigger function. The application's changes are looked at when it commits, and
recorded only if its transaction wrote no event; everybody else's are recorded at once, whatever else they wrote.
"""

from django.db import migrations

_APPLICATION = "session_user = 'eaip_app'"


def govern(table: str, *, unwatched: tuple[str, ...] = (), secret: tuple[str, ...] = ()) -> migrations.RunSQL:
    """Return the operation that spreads the net under a table.

    `unwatched` columns are the engine's (leases, heartbeats, counters): a change of these alone is nobody's decision.
    `secret` ones are told of as fingerprints. A column that is added later is watched.
    """
    names = "{" + ",".join(unwatched) + "}"
    net = f"EXECUTE FUNCTION audit_net('{names}', '{{{','.join(secret)}}}')"
    differs = f"to_jsonb(OLD) - '{names}'::text[] IS DISTINCT FROM to_jsonb(NEW) - '{names}'::text[]"
    if not unwatched:
        differs = "OLD.* IS DISTINCT FROM NEW.*"
    deferred = "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN"
    triggers = {
        "audit_net_update": f"CREATE CONSTRAINT TRIGGER audit_net_update AFTER UPDATE ON {table} {deferred} "
        f"({_APPLICATION} AND ({differs})) {net}",
        "audit_net_row": f"CREATE CONSTRAINT TRIGGER audit_net_row AFTER INSERT OR DELETE ON {table} {deferred} "
        f"({_APPLICATION}) {net}",
        "audit_net_past": f"CREATE TRIGGER audit_net_past AFTER INSERT OR UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW WHEN (NOT ({_APPLICATION})) {net}",
        "audit_net_truncate": f"CREATE TRIGGER audit_net_truncate AFTER TRUNCATE ON {table} FOR EACH STATEMENT {net}",
    }
    return migrations.RunSQL(
        "".join(f"{sql};\nALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};\n" for name, sql in triggers.items()),
        "".join(f"DROP TRIGGER {name} ON {table};\n" for name in triggers),
    )
