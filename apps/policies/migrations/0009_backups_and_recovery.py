"""What Production asks of backups and disaster recovery, for installations that are older than the clause.

A new one has it from 0006: the net under the ledger is spread by now, and tells of what a migration changes. Added to
what is in force where nobody has changed that, since a version with nobody's name came with the portal; with the next
free number.
"""

from importlib import import_module

from django.db import migrations
from django.utils import timezone

shipped = import_module("apps.policies.migrations.0006_evidence_and_soak")

REASON = "Backups and disaster recovery, as the strategy asks for them."
TIER, GATE = "PRODUCTION", "recovery"


def add_version(apps, schema_editor):
    version = apps.get_model("policies", "PolicyVersion")
    shipped.shipped.enter_scope(schema_editor)
    in_force = version.objects.filter(tier=TIER, is_active=True, created_by=None).first()
    if in_force is None or any(row["gate"] == GATE for row in in_force.document["clauses"]):
        return
    rows = in_force.document["clauses"]
    free = 1 + max(int(row["id"].rpartition("-")[2]) for row in rows)
    [row] = [row for row in shipped.MORE[TIER] if row["gate"] == GATE]
    clause = {"id": f"PROD-{free}", **{name: value for name, value in row.items() if name != "number"}}
    document = {**in_force.document, "clauses": [*rows, clause]}
    version.objects.filter(pk=in_force.pk).update(is_active=False)
    version.objects.create(
        workspace_id=in_force.workspace_id,
        tier=TIER,
        number=in_force.number + 1,
        document=document,
        digest=shipped.shipped.digest_of(document),
        reason=REASON,
        created_at=timezone.now(),
        is_active=True,
    )


class Migration(migrations.Migration):
    dependencies = [("policies", "0008_requirements_of_environments")]

    operations = [migrations.RunPython(add_version, migrations.RunPython.noop)]
