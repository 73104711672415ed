"""What a release has to show: its reports, its way back, how it serves callers on, an hour in Staging, the reviews that
a change of its kind asks for, and the checklists before and after.

Clause by clause, tier by tier, as the two strategy documents ask. Only where the policy in force is the one that was
shipped: what people wrote themselves stays as they wrote it. Why some are the platform's alone: ADR 0090.
"""

from importlib import import_module

from django.db import migrations
from django.utils import timezone

shipped = import_module("apps.policies.migrations.0003_policies_of_the_tiers")
emergencies = import_module("apps.policies.migrations.0005_emergencies_and_confirmation")

STRATEGY, POLICIES = shipped.STRATEGY, shipped.POLICIES
REASON = "Reports, compatibility, ways back, soak, reviews and checklists, as the strategy asks for them."


def clause(number, gate, text, source, *, when="ALWAYS", owner="ALL", **settings):
    row = shipped.clause(number, gate, text, source, owner=owner, **settings)
    return row if when == "ALWAYS" else {**row, "when": when}


def reported(number, gate, text, source, **fields):
    """A clause that goes by reports, which are seen in the workspace of the release: the platform's tiers ask."""
    return clause(number, gate, text, source, owner="PLATFORM", **fields)


def every_suite(number, source):
    return reported(
        number,
        "tests",
        "All unit and integration tests pass, and the end-to-end tests of the critical paths.",
        source,
        when="ORDINARY",
        suites=["UNIT", "INTEGRATION", "END_TO_END"],
    )


def least_tested(number):
    return reported(
        number,
        "tests",
        "An emergency is tested at the least: all unit tests pass.",
        f"{POLICIES}, Emergency procedures",
        when="EMERGENCY",
        suites=["UNIT"],
    )


def clean_scan(number, source):
    return reported(number, "security_scan", "The security scan is clean.", source, when="ORDINARY", tolerated="none")


def traceable(number):
    return reported(number, "parts_list", "What a release is made of can be traced.", f"{STRATEGY}, 12")


def served_on(number):
    return clause(
        number,
        "api_compatibility",
        "Those who call what runs in Production are served on.",
        f"{STRATEGY}, 7",
        sunset=True,
        waived_by="ENGINEERING_MANAGER",
    )


def way_back(number):
    return clause(
        number, "rollback_readiness", "What runs now can be brought back.", f"{STRATEGY}, 6.2", limit_minutes=15
    )


def quick(number, source):
    return reported(
        number,
        "performance",
        "Nothing is slower than its target by more than 20 %.",
        source,
        when="ORDINARY",
        limit_percent=20,
        waived_by="ENGINEERING_MANAGER",
    )


def readers_served(number):
    return clause(
        number, "event_compatibility", "Those who read events are served on.", f"{STRATEGY}, 7", when="ORDINARY"
    )


def review(number, text, role, trait, *, when="ORDINARY"):
    """An approval that only some changes ask for, beside all others."""
    asked = {"role": role, "traits": [trait], "step_up": emergencies.STEP_UP}
    source = f"{POLICIES}, Change management"
    return clause(number, "approvals", text, source, when=when, owner="PLATFORM", **asked)


def line(name, text, **by):
    return {"id": name, "text": text, **by}


BEFORE = [
    line("staging", "All tests pass in Staging", clause="PROD-1"),
    line("security-scan", "Security scan completed", clause="PROD-16"),
    line("performance", "Performance benchmarks met", clause="PROD-27"),
    line("release-notes", "Release notes prepared", role="RELEASE_ENGINEER"),
    line("rollback-plan", "Rollback plan documented", clause="PROD-2"),
    line("customers-told", "Customer communication sent, if needed", role="ENGINEERING_MANAGER"),
    line("on-call", "On-call engineer assigned", role="DEVOPS"),
    line("dashboards", "Monitoring dashboards ready", role="DEVOPS"),
]
AFTERWARDS = [
    line("health", "Health checks pass", role="DEVOPS"),
    line("metrics", "Metrics are within their normal range", role="DEVOPS"),
    line("error-rate", "The error rate has not risen", role="DEVOPS"),
    line("customer-reports", "Customer reports verified", role="ENGINEERING_MANAGER"),
    line("performance", "Performance is stable", role="DEVOPS"),
    line("security-scan", "Security scans are clean", clause="PROD-16"),
]

# What each tier's shipped policy gets beside what it has; Local and Dev are where things are tried out.
MORE = {
    "QA": [
        reported(7, "tests", "All unit tests pass.", f"{STRATEGY}, 6.2", suites=["UNIT"]),
        served_on(8),
        way_back(9),
        readers_served(10),
    ],
    "STAGING": [
        every_suite(7, f"{POLICIES}, Staging: testing requirements"),
        least_tested(8),
        reported(
            9,
            "coverage",
            "Tests run at least 70 % of the code.",
            f"{POLICIES}, Staging: automated testing",
            when="ORDINARY",
            least_percent=70,
            waived_by="ENGINEERING_MANAGER",
        ),
        clean_scan(10, f"{POLICIES}, Staging: testing requirements"),
        traceable(11),
        served_on(12),
        way_back(13),
        clause(14, "migrations", "Data migrations have a class, a checksum and a way back.", f"{STRATEGY}, 9"),
        readers_served(15),
        quick(16, f"{POLICIES}, Staging: testing requirements"),
    ],
    "PRODUCTION": [
        clause(
            13,
            "previous_tier",
            "An emergency was tried in Staging, for as long as there is time.",
            f"{POLICIES}, Emergency procedures",
            when="EMERGENCY",
        ),
        every_suite(14, f"{POLICIES}, Pre-deployment checklist"),
        least_tested(15),
        clean_scan(16, f"{POLICIES}, Pre-deployment checklist"),
        traceable(17),
        served_on(18),
        clause(19, "migrations", "Data migrations ran in Staging before.", f"{STRATEGY}, 9", tested=True),
        review(20, "Who approves migrations approves these.", "MIGRATION_APPROVER", "MIGRATION", when="ALWAYS"),
        review(21, "Security approves a security update.", "SECURITY", "SECURITY", when="ALWAYS"),
        review(22, "Security reviews a sensitive change.", "SECURITY", "SENSITIVE"),
        review(23, "The change advisory board approves a change of infrastructure.", "CAB", "INFRASTRUCTURE"),
        review(24, "Architecture reviews a major change.", "ARCHITECTURE_REVIEWER", "MAJOR"),
        review(25, "Performance of a critical path is reviewed.", "PERFORMANCE_REVIEWER", "CRITICAL_PATH"),
        readers_served(26),
        quick(27, f"{POLICIES}, Pre-deployment checklist"),
        clause(
            28,
            "emergency_path",
            "A hotfix is cut from what Production runs, and what emergencies leave owed is done in time.",
            f"{POLICIES}, Emergency procedures",
            owner="PLATFORM",
        ),
        clause(
            29,
            "checklist",
            "What is seen to before a deployment to Production.",
            f"{POLICIES}, Pre-deployment checklist",
            when="ORDINARY",
            owner="PLATFORM",
            checklist="pre-deployment",
            title="Pre-deployment checklist",
            phase="PRE",
            lines=BEFORE,
        ),
        clause(
            30,
            "checklist",
            "What is looked at after a deployment to Production.",
            f"{POLICIES}, Post-deployment checklist",
            owner="PLATFORM",
            checklist="post-deployment",
            title="Post-deployment checklist",
            phase="POST",
            hours=4,
            lines=AFTERWARDS,
        ),
        # Written later: 0007 adds it to installations that are older.
        clause(
            31,
            "recovery",
            "What Production holds is backed up each day, and it was tried this quarter that it can be brought back.",
            f"{POLICIES}, Backup and recovery",
            when="ORDINARY",
            owner="PLATFORM",
            # A daily job is not done at the same minute each day.
            backup_hours=26,
            point_in_time=True,
            kept_daily=30,
            kept_monthly=12,
            restore_test_days=92,
            recovery_test_days=92,
            rpo_minutes=60,
            rto_minutes=240,
        ),
    ],
}
# Clauses that were there before, and what is said otherwise in them.
CHANGED = {
    "PROD-1": {
        "text": "A release succeeds in Staging first, and runs well there for an hour.",
        "source": f"{POLICIES}, Change management",
        "when": "ORDINARY",
        "settings": {"soak_minutes": 60},
    },
}


def document_before(tier, prefix, clauses, limits):
    """What was shipped up to here."""
    document = shipped.document_of(tier, prefix, clauses, limits)
    ordinary = emergencies.ORDINARY.get(tier, ())
    rows = [{**row, "when": "ORDINARY"} if row["id"] in ordinary else row for row in document["clauses"]]
    return {**document, "clauses": [emergencies.confirmed(row) for row in (*rows, *emergencies.MORE.get(tier, []))]}


def document_after(tier, prefix, clauses, limits):
    before = document_before(tier, prefix, clauses, limits)
    more = shipped.document_of(tier, prefix, MORE[tier], limits)
    return {**before, "clauses": [{**row, **CHANGED.get(row["id"], {})} for row in before["clauses"]] + more["clauses"]}


def add_versions(apps, schema_editor):
    version = apps.get_model("policies", "PolicyVersion")
    shipped.enter_scope(schema_editor)
    for tier, *said in shipped.TIERS:
        digest = shipped.digest_of(document_before(tier, *said))
        in_force = version.objects.filter(tier=tier, is_active=True, digest=digest).first()
        if tier not in MORE or in_force is None:
            continue
        document = document_after(tier, *said)
        version.objects.filter(pk=in_force.pk).update(is_active=False)
        version.objects.create(
            workspace_id=in_force.workspace_id,
            tier=tier,
            number=in_force.number + 1,
            document=document,
            digest=shipped.digest_of(document),
            reason=REASON,
            created_at=timezone.now(),
            is_active=True,
        )


class Migration(migrations.Migration):
    dependencies = [("policies", "0005_emergencies_and_confirmation")]

    operations = [migrations.RunPython(add_versions, migrations.RunPython.noop)]
