"""The policies that the migration installs."""

import pytest
from django.core.management import call_command

from apps.core.canonical import sha256_of
from apps.environments.enums import Tier
from apps.policies.clauses import REPORTED, Gate, Owner
from apps.policies.documents import parse
from apps.policies.models import PolicyVersion
from apps.policies.sources import read
from apps.workspaces.scope import workspace_scope

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("tier", Tier.values)
def test_each_tier_has_one_policy_in_force_that_parses(tier):
    with workspace_scope([]):  # published: a workspace that is not the platform's reads it too
        [version] = PolicyVersion.objects.in_force(tier)

    assert parse(version.document).tier == tier
    assert version.digest == sha256_of(version.document)


@pytest.mark.parametrize("tier", [Tier.LOCAL, Tier.DEV, Tier.QA, Tier.STAGING])
def test_lower_tiers_ask_nobody(tier):
    assert not _in_force(tier).clauses_of(Gate.APPROVALS)


def test_production_asks_the_engineering_manager_and_devops():
    assert _roles(Owner.PLATFORM) == {"PROD-3": "ENGINEERING_MANAGER", "PROD-4": "DEVOPS"}


def test_a_customers_production_asks_the_customer():
    assert _roles(Owner.CUSTOMER) == {"PROD-5": "CUSTOMER_OPERATOR"}


def test_production_asks_for_a_way_back_a_window_and_staging_first():
    gates = {clause.gate for clause in _in_force(Tier.PRODUCTION).for_owner(Owner.PLATFORM).clauses}

    assert gates == set(Gate) - {*REPORTED, Gate.API_COMPATIBILITY, Gate.MIGRATIONS, Gate.EMERGENCY_PATH}


def _in_force(tier):
    with workspace_scope([]):
        return parse(PolicyVersion.objects.in_force(tier).get().document)


def _roles(owner):
    policy = _in_force(Tier.PRODUCTION).for_owner(owner)
    return {clause.id: clause.settings["role"] for clause in policy.clauses_of(Gate.APPROVALS)}


def test_each_is_exported_as_a_text_that_is_read_back(tmp_path):
    call_command("export_policies", str(tmp_path), verbosity=0)

    with workspace_scope([]):
        kept = {version.tier: version.document for version in PolicyVersion.objects.filter(is_active=True)}
    assert {tier: read((tmp_path / f"{tier.lower()}.yaml").read_bytes())[0] for tier in Tier.values} == kept
