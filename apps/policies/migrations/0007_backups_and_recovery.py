"""What Production asks of backups and disaster recovery, as the strategy documents do.

Added to what is in force, where nobody has changed that: a version with nobody's name came with the portal. It has the
next free number, whatever else was shipped before it.
"""

from importlib import import_module

from django.db import migrations
from django.utils import timezone

shipped = import_module("apps.policies.migrations.0003_policies_of_the_tiers")

REASON = "Backups and disaster recovery, as the strategy asks for them."
TIER, PREFIX = "PRODUCTION", "PROD"
ASKED = {
    # A daily job is not done at the same minute each day.
    "backup_hours": 26,
    "point_in_time": True,
    "kept_daily": 30,
    "kept_monthly": 12,
    "restore_test_days": 92,
    "recovery_test_days": 92,
    "rpo_minutes": 60,
    "rto_minutes": 240,
}


def clause(number):
    return {
        "id": f"{PREFIX}-{number}",
        "gate": "recovery",
        "text": "What Production holds is backed up each day, and it was tried this quarter that it can be brought back.",
        "source": f"{shipped.POLICIES}, Backup and recovery",
        "owner": "PLATFORM",
        "when": "ORDINARY",
        "settings": ASKED,
    }


def add_version(apps, schema_editor):
    version = apps.get_model("policies", "PolicyVersion")
    shipped.enter_scope(schema_editor)
    in_force = version.objects.filter(tier=TIER, is_active=True, created_by=None).first()
    if in_force is None or any(row["gate"] == "recovery" for row in in_force.document["clauses"]):
        return
    rows = in_force.document["clauses"]
    free = 1 + max(int(row["id"].rpartition("-")[2]) for row in rows)
    document = {**in_force.document, "clauses": [*rows, clause(free)]}
    version.objects.filter(pk=in_force.pk).update(is_active=False)
    version.objects.create(
        workspace_id=in_force.workspace_id,
        tier=TIER,
        number=in_force.number + 1,
        document=document,
        digest=shipped.digest_of(document),
        reason=REASON,
        created_at=timezone.now(),
        is_active=True,
    )


class Migration(migrations.Migration):
    dependencies = [("policies", "0006_evidence_and_soak")]

    operations = [migrations.RunPython(add_version, migrations.RunPython.noop)]
