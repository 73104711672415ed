"""The database's own layer of isolation, read from its catalogue: no table can be forgotten."""

import pytest
from django.db import connection

# Tables without a tenant, each with the reason why nobody's data is in it.
SHARED = {
    "accounts_recoverycode": "a person's own, in no workspace; asked for by the person alone, kept as digests",
    "accounts_role": "what a role may do is the same everywhere",
    "accounts_secondfactor": "a person's own, in no workspace; asked for by the person alone, its secret is sealed",
    "accounts_user": "a person may be a member of many workspaces",
    "accounts_user_groups": "Django's; unused",
    "accounts_user_user_permissions": "Django's; unused",
    "api_timing": "how long the portal's own routes, tasks and steps took",
    "audit_key": "public keys",
    "audit_sealing": "how far the seal is, as the server counts transactions",
    "auth_group": "Django's; unused",
    "auth_group_permissions": "Django's; unused",
    "auth_permission": "names of permissions",
    "compliance_identitychange": "whether accounts are open, and what roles give, which are the same everywhere",
    "deployments_databaseepoch": "names the database, holds no data",
    "deployments_sweeplease": "holds no data",
    "django_content_type": "names of models",
    "django_migrations": "names of migrations",
    "django_session": "keyed by a secret that only its owner has",
    "environments_calendarfeed": "a person's, who may be a member of many workspaces; keyed by a secret",
    "health_dependency": "holds no data",
}
# Made by a library, superseded by tables of ours that carry the workspace; the application has no right on them.
CLOSED = {"auditlog_logentry", "guardian_groupobjectpermission", "guardian_userobjectpermission"}


def _rows(statement: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.fixture
def tables(db: None) -> dict[str, tuple[bool, bool, int]]:
    return {
        name: (on, forced, policies)
        for name, on, forced, policies in _rows(
            """
            SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
                   (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'workspace_scope')
            FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND c.relnamespace = 'public'::regnamespace
            """
        )
    }


def test_every_tenant_table_has_forced_row_level_security(tables: dict) -> None:
    unprotected = {name for name, state in tables.items() if state != (True, True, 1)}

    assert unprotected == SHARED.keys() | CLOSED


@pytest.mark.parametrize("table", sorted(CLOSED))
def test_library_table_without_workspace_is_closed(db: None, table: str) -> None:
    rights = _rows(f"SELECT has_table_privilege('eaip_app', '{table}', 'SELECT, INSERT, UPDATE, DELETE')")

    assert rights == [(False,)]


def test_application_role_owns_nothing_and_passes_nothing(db: None) -> None:
    assert _rows("SELECT current_user, rolbypassrls, rolsuper FROM pg_roles WHERE rolname = current_user") == [
        ("eaip_app", False, False)
    ]
    assert _rows("SELECT relname FROM pg_class WHERE relowner = 'eaip_app'::regrole") == []
    assert _rows("SELECT 1 WHERE pg_has_role('eaip_app', 'eaip_gate', 'MEMBER')") == []


def test_partition_can_not_be_read_past_the_policy(db: None) -> None:
    readable = _rows(
        """
        SELECT inhrelid::regclass::text FROM pg_inherits
        WHERE inhparent = 'audit_event'::regclass AND has_table_privilege('eaip_app', inhrelid, 'SELECT')
        """
    )

    assert readable == []


# What may look past the scope, each with what it tells: ids to begin work with, or a fact without content.
PAST_THE_SCOPE = {
    "api_beside": "how a release that the asker may read differs for callers from another that they may read",
    "api_comparisons_due": "ids and digests of what to compare",
    "access_changed": "a trigger: keeps rows that say who may do what, tells nothing",
    "audit_net": "writes what is changed past the application into the ledger, through `record_event`",
    "active_deployments": "the engine: what is under way, when the database is another than before",
    "checklists_unjudged": "ids of workspaces with an owed line whose gate may have turned",
    "claim_endpoints": "ids of endpoint checks that are due; leases them",
    "claim_resource": "who owns a resource; checks the asker's scope",
    "delegations_void": "ids of workspaces where somebody left who lent or was lent a role",
    "cut_events": "removes what a confirmed cut covers; applies the scope itself",
    "record_cut": "writes the entry that proves a confirmed cut; applies the scope itself",
    "record_rotation": "writes the entry that names a new key; the sealer's alone",
    "drop_empty_audit_partitions": "drops tables of old months that nobody has an entry in",
    "end_exports": "ends files of exports that a confirmed erasure concerns; tells how many",
    "erase_person": "erases what two people confirmed; tells how many entries in which workspaces",
    "erasure_hindrance": "whether an account is open, or a hold covers its person; one word",
    "retention_due": "ids of workspaces where a cut or an erasure is to go on",
    "due_checks": "ids of health checks that are due",
    "due_work": "ids of what the engine has to do",
    "estimate_events": "about how many events match, from statistics; applies the scope itself",
    "event_checks_due": "ids of event schemas to check",
    "events_beside": "what a release that the asker may read publishes beside another that they may read",
    "ensure_audit_partitions": "makes tables ahead of time",
    "every_workspace": "ids of all workspaces, to measure the installation",
    "exports_due": "ids of exports to write or to remove, with the workspaces to do it in",
    "hotfixes_due": "ids of workspaces where a repository is to be asked about a hotfix",
    "lanes_at_rest": "ids of lanes to reconcile",
    "lanes_that_hurt": "ids of lanes where what serves may be to blame for what is wrong",
    "lost_attempts": "ids of attempts that nobody knows about, to call a person",
    "notices_unmailed": "ids of notices to mail",
    "prune_denials": "removes what keeps an old refusal from being told of again",
    "prune_alerts": "removes old alerts",
    "prune_endpoint_samples": "removes old samples of endpoint checks",
    "prune_samples": "removes old health samples",
    "pushes_due": "ids of pushes to build",
    "record_event": "writes the ledger; checks the scope itself",
    "records_unseen": "ids of environments whose records are to be looked at, with their workspaces",
    "reviews_untold": "ids of workspaces where owners of reviews are to be told",
    "rollouts_running": "ids of roll-outs to go on with",
    "search_events": "ids of events in the asker's scope",
    "streams_due": "ids of streams with something to send",
    "tiers_passed": "tiers that a release the asker may read has passed",
    "workspace_of_push": "the scope to build a push in",
    "workspace_of_service": "the scope to check a webhook's signature in",
    "workspace_of_token": "the scope of whoever holds the token",
    "workspaces_of": "the workspaces of a person",
    "raise_fences": "the engine: a number that grows, and nothing of anybody",
}


def test_functions_past_the_scope_are_few_and_have_a_fixed_path(db: None) -> None:
    functions = _rows(
        "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1"
    )

    assert all("search_path=pg_catalog, public, pg_temp" in config for _, config in functions)
    assert {name for name, _ in functions} == PAST_THE_SCOPE.keys()
