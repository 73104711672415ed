"""The first policy of each tier: what the two strategy documents ask for, clause by clause."""

import hashlib
import json

from django.db import migrations

PLATFORM = "00000000-0000-7000-8000-000000000001"
STRATEGY = "Deployment, environments and release strategy"
POLICIES = "Deployment policies"


def clause(number, gate, text, source, *, owner="ALL", **settings):
    return {"number": number, "gate": gate, "text": text, "source": source, "owner": owner, "settings": settings}


def always(first, *, prereleases=True):
    """What stands between a release and a target in every tier."""
    return [
        clause(first, "artifact", "The artifact is the one that was sealed, and is there.", f"{STRATEGY}, 12"),
        clause(
            first + 1,
            "version_order",
            "A promotion never goes back to a lower version: that is a rollback."
            if prereleases
            else "A promotion never goes back to a lower version: that is a rollback. No pre-release comes here.",
            f"{STRATEGY}, 6.1",
            prereleases=prereleases,
        ),
        clause(first + 2, "quarantine", "A release in quarantine, or retired, is not deployed.", f"{STRATEGY}, 8"),
        clause(first + 3, "freeze", "Nothing starts under a freeze.", f"{POLICIES}, Change management"),
        clause(first + 4, "hold", "After a rollback a person lets deployments pass again.", f"{POLICIES}, Rollback"),
    ]


def after(number, tier):
    return clause(number, "previous_tier", f"A release succeeds in {tier} first.", f"{STRATEGY}, 6.2")


PRODUCTION = [
    after(1, "Staging"),
    clause(
        2,
        "rollback_readiness",
        "What runs now can be brought back within 15 minutes.",
        f"{POLICIES}, Rollback procedures",
        limit_minutes=15,
    ),
    clause(
        3,
        "approvals",
        "An engineering manager approves.",
        f"{POLICIES}, Approval workflow",
        owner="PLATFORM",
        role="ENGINEERING_MANAGER",
    ),
    clause(
        4,
        "approvals",
        "The DevOps team reviews.",
        f"{POLICIES}, Approval workflow",
        owner="PLATFORM",
        role="DEVOPS",
    ),
    clause(
        5,
        "approvals",
        "The customer accepts what comes to an environment of their own.",
        f"{STRATEGY}, 10",
        owner="CUSTOMER",
        role="CUSTOMER_OPERATOR",
    ),
    clause(
        6,
        "window",
        "Deployments start inside the windows of the environment, early enough to end in them.",
        f"{POLICIES}, Deployment window",
        lasting_minutes=15,
    ),
    *always(7, prereleases=False),
]

LIMITS = {"request_days": 30, "decision_days": 7, "ready_hours": None}
TIERS = [
    ("LOCAL", "LOCAL", always(1), LIMITS),
    ("DEV", "DEV", always(1), LIMITS),
    ("QA", "QA", [after(1, "Dev"), *always(2)], LIMITS),
    ("STAGING", "STAG", [after(1, "QA"), *always(2)], LIMITS),
    ("PRODUCTION", "PROD", PRODUCTION, {**LIMITS, "ready_hours": 24}),
]


def document_of(tier, prefix, clauses, limits):
    return {
        "schema": 1,
        "tier": tier,
        "strategy": "BLUE_GREEN",
        "limits": limits,
        "clauses": [
            {"id": f"{prefix}-{row['number']}", **{key: value for key, value in row.items() if key != "number"}}
            for row in clauses
        ],
    }


def digest_of(document):
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def enter_scope(schema_editor):
    # Row-level security holds for the owner too.
    schema_editor.execute(f"SELECT set_config('app.workspaces', '{PLATFORM}', true)")


def add_policies(apps, schema_editor):
    version = apps.get_model("policies", "PolicyVersion")
    enter_scope(schema_editor)
    now = apps.get_model("workspaces", "Workspace").objects.get(pk=PLATFORM).created_at
    for tier, prefix, clauses, limits in TIERS:
        document = document_of(tier, prefix, clauses, limits)
        version.objects.create(
            workspace_id=PLATFORM,
            tier=tier,
            number=1,
            document=document,
            digest=digest_of(document),
            reason="What the strategy asks for from the start.",
            created_at=now,
            is_active=True,
        )


class Migration(migrations.Migration):
    dependencies = [("policies", "0002_tenancy")]

    # Rows that no one can remove (trigger): going back leaves them, and the table goes with 0001.
    operations = [migrations.RunPython(add_policies, migrations.RunPython.noop)]
