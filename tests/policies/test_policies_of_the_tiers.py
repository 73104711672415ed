"""The policies that the migration installs."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from apps.accounts.models import Role
from apps.core.canonical import sha256_of
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.enums import Tier
from apps.policies.clauses import REPORTED, Gate, Owner, When
from apps.policies.documents import parse
from apps.policies.models import PolicyVersion
from apps.policies.sources import read, written
from apps.workspaces.scope import workspace_scope

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("tier", Tier.values)
def test_each_tier_has_one_policy_in_force_that_parses(tier):
    with workspace_scope([]):  # published: a workspace that is not the platform's reads it too
        [version] = PolicyVersion.objects.in_force(tier)

    assert parse(version.document).tier == tier
    assert version.digest == sha256_of(version.document)


# By owner and case, all that a tier asks for beside the five gates that no policy can leave out.
ALL, PLATFORM, CUSTOMER = Owner.ALL, Owner.PLATFORM, Owner.CUSTOMER
ALWAYS_ASKED = {("artifact", ALL, ""), ("freeze", ALL, ""), ("hold", ALL, ""), ("quarantine", ALL, "")}
STEP_UP = "step_up second_factor_or_password"
REVIEWS = (
    ("MIGRATION_APPROVER", "MIGRATION", ""),
    ("SECURITY", "SECURITY", ""),
    ("SECURITY", "SENSITIVE", ", ORDINARY"),
    ("CAB", "INFRASTRUCTURE", ", ORDINARY"),
    ("ARCHITECTURE_REVIEWER", "MAJOR", ", ORDINARY"),
    ("PERFORMANCE_REVIEWER", "CRITICAL_PATH", ", ORDINARY"),
)
EVERY_SUITE = "UNIT INTEGRATION END_TO_END"
ASKED = {
    Tier.LOCAL: {("version_order", ALL, "prereleases")},
    Tier.DEV: {("version_order", ALL, "prereleases")},
    Tier.QA: {
        ("version_order", ALL, "prereleases"),
        ("previous_tier", ALL, ""),
        ("tests", PLATFORM, "UNIT"),
        ("api_compatibility", ALL, "sunset, waived_by ENGINEERING_MANAGER"),
        ("rollback_readiness", ALL, "limit_minutes 15"),
        ("event_compatibility", ALL, "ORDINARY"),
    },
    Tier.STAGING: {
        ("version_order", ALL, "prereleases"),
        ("previous_tier", ALL, "ORDINARY"),
        ("tests", PLATFORM, f"{EVERY_SUITE}, ORDINARY"),
        ("tests", PLATFORM, "UNIT, EMERGENCY"),
        ("coverage", PLATFORM, "least_percent 70, waived_by ENGINEERING_MANAGER, ORDINARY"),
        ("security_scan", PLATFORM, "tolerated none, ORDINARY"),
        ("parts_list", PLATFORM, ""),
        ("api_compatibility", ALL, "sunset, waived_by ENGINEERING_MANAGER"),
        ("rollback_readiness", ALL, "limit_minutes 15"),
        ("migrations", ALL, ""),
        ("event_compatibility", ALL, "ORDINARY"),
        ("performance", PLATFORM, "limit_percent 20, waived_by ENGINEERING_MANAGER, ORDINARY"),
    },
    Tier.PRODUCTION: {
        ("version_order", ALL, "no prereleases"),
        ("previous_tier", ALL, "soak_minutes 60, ORDINARY"),
        ("previous_tier", ALL, "EMERGENCY"),
        ("tests", PLATFORM, f"{EVERY_SUITE}, ORDINARY"),
        ("tests", PLATFORM, "UNIT, EMERGENCY"),
        ("security_scan", PLATFORM, "tolerated none, ORDINARY"),
        ("parts_list", PLATFORM, ""),
        ("api_compatibility", ALL, "sunset, waived_by ENGINEERING_MANAGER"),
        ("rollback_readiness", ALL, "limit_minutes 15"),
        ("window", ALL, "lasting_minutes 15"),
        ("approvals", PLATFORM, "role ENGINEERING_MANAGER, step_up second_factor_or_password, ORDINARY"),
        ("approvals", PLATFORM, "role DEVOPS, step_up second_factor_or_password, ORDINARY"),
        ("approvals", PLATFORM, "role SENIOR_ENGINEER, step_up second_factor_or_password, EMERGENCY"),
        ("approvals", CUSTOMER, "role CUSTOMER_OPERATOR, step_up second_factor_or_password"),
        ("migrations", ALL, "tested"),
        ("event_compatibility", ALL, "ORDINARY"),
        ("performance", PLATFORM, "limit_percent 20, waived_by ENGINEERING_MANAGER, ORDINARY"),
        ("emergency_path", PLATFORM, ""),
        (
            "recovery",
            PLATFORM,
            "backup_hours 26, kept_daily 30, kept_monthly 12, point_in_time, recovery_test_days 92, "
            "restore_test_days 92, rpo_minutes 60, rto_minutes 240, ORDINARY",
        ),
        *(("approvals", PLATFORM, f"role {role}, {STEP_UP}, traits {trait}{when}") for role, trait, when in REVIEWS),
        (
            "checklist",
            PLATFORM,
            "checklist pre-deployment, 8 lines, phase PRE, title Pre-deployment checklist, ORDINARY",
        ),
        (
            "checklist",
            PLATFORM,
            "checklist post-deployment, hours 4, 6 lines, phase POST, title Post-deployment checklist",
        ),
    },
}


@pytest.mark.parametrize("tier", Tier.values)
def test_each_tier_asks_for_what_the_strategy_does(tier):
    clauses = _in_force(tier).clauses

    assert {(clause.gate, clause.owner, _said(clause)) for clause in clauses} == ASKED[Tier(tier)] | ALWAYS_ASKED
    assert len({clause.id for clause in clauses}) == len(clauses) == len(ASKED[Tier(tier)]) + len(ALWAYS_ASKED)
    assert all(clause.source.startswith(("Deployment, environments and", "Deployment policies")) for clause in clauses)


def _said(clause):
    """Return settings and case of a clause in short."""
    words = [_setting(name, value) for name, value in sorted(clause.settings.items())]
    return ", ".join([*words, *([] if clause.when == When.ALWAYS else [clause.when])])


def _setting(name, value):
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if name == "lines":
        return f"{len(value)} lines"
    value = " ".join(value) if isinstance(value, list) else value
    return str(value) if name == "suites" else f"{name} {value}"


def test_a_customers_environment_asks_for_no_report_that_is_not_seen_there():
    gates = {clause.gate for clause in _in_force(Tier.PRODUCTION).for_owner(Owner.CUSTOMER).clauses}

    assert gates == set(Gate) - {*REPORTED, Gate.ENVIRONMENT, Gate.CHECKLIST, Gate.EMERGENCY_PATH, Gate.RECOVERY}


def test_an_emergency_waits_for_no_soak():
    policy = _in_force(Tier.PRODUCTION)

    usual, hurried = (policy.for_owner(Owner.PLATFORM, in_emergency=case) for case in (False, True))
    assert usual.clause_of(Gate.PREVIOUS_TIER).settings == {"soak_minutes": 60}
    assert hurried.clause_of(Gate.PREVIOUS_TIER).settings == {}


@pytest.mark.parametrize("name", ["0006_evidence_and_soak", "0008_requirements_of_environments"])
def test_what_people_wrote_themselves_stays_as_they_wrote_it(name, cast):
    shipped = import_module(f"apps.policies.migrations.{name}")
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        PolicyVersion.objects.filter(is_active=True).update(created_by=cast.devops)
        before = list(PolicyVersion.objects.filter(is_active=True).values_list("pk"))
        with connection.schema_editor() as editor:
            shipped.add_versions(apps, editor)

        assert list(PolicyVersion.objects.filter(is_active=True).values_list("pk")) == before


def test_staging_and_production_are_asked_for_the_numbers_of_the_deployment_policies():
    asked = {tier: {need.id: need for need in _in_force(tier).needs} for tier in Tier.values}

    assert {tier for tier, needs in asked.items() if needs} == {Tier.STAGING, Tier.PRODUCTION}
    staging, production = asked[Tier.STAGING], asked[Tier.PRODUCTION]
    assert (production["replicas"].limit, production["replicas"].each, production["tls"].limit) == (3, True, "1.2")
    assert staging["capacity"].limit_words == "at least 50 % of Production's"
    assert [needs["monitoring-retention"].limit for needs in (staging, production)] == [7, 90]
    assert [needs["backup-frequency"].limit for needs in (staging, production)] == ["weekly", "daily"]
    assert all(need.source.startswith("Deployment policies, ") for need in (*staging.values(), *production.values()))


def test_older_installations_get_the_clause_about_backups_once():
    later = import_module("apps.policies.migrations.0009_backups_and_recovery")
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        old = PolicyVersion.objects.in_force(Tier.PRODUCTION).get()
        new = old.document
        before = {**new, "clauses": [row for row in new["clauses"] if row["gate"] != "recovery"]}
        PolicyVersion.objects.filter(pk=old.pk).update(is_active=False)
        fields = {"digest": sha256_of(before), "reason": "As it was", "created_at": old.created_at, "is_active": True}
        PolicyVersion.objects.create(
            workspace_id=old.workspace_id, tier=old.tier, number=old.number + 1, document=before, **fields
        )
        for _ in range(2):
            with connection.schema_editor() as editor:
                later.add_version(apps, editor)

        found = PolicyVersion.objects.in_force(Tier.PRODUCTION).get()
    assert (found.number, found.document, found.digest) == (old.number + 2, new, sha256_of(new))


def _in_force(tier):
    with workspace_scope([]):
        return parse(PolicyVersion.objects.in_force(tier).get().document)


def test_each_is_exported_as_a_text_that_is_read_back(tmp_path):
    call_command("export_policies", str(tmp_path), verbosity=0)

    with workspace_scope([]):
        kept = {version.tier: version.document for version in PolicyVersion.objects.filter(is_active=True)}
    assert {tier: read((tmp_path / f"{tier.lower()}.yaml").read_bytes())[0] for tier in Tier.values} == kept


def test_the_checklist_of_the_reference_can_be_proposed_as_it_stands():
    reference = Path(settings.BASE_DIR, "docs/reference/checklists.md").read_text()
    [block] = [block.partition("```")[0] for block in reference.split("```yaml\n")[1:]]

    with workspace_scope([]):
        document = PolicyVersion.objects.in_force(Tier.STAGING).get().document
    text = written({**document, "clauses": [*document["clauses"], *yaml.safe_load(block)]}, schema_url="s")
    policy = read(text.encode(), tier=Tier.STAGING, roles=set(Role.objects.values_list("code", flat=True)))[1]

    assert policy.clauses_of(Gate.CHECKLIST)
