"""What an emergency asks for instead: in Staging no tier before, in Production one senior engineer.

Only where the policy in force is the one that was shipped: what people wrote themselves stays as they wrote it.
"""

from importlib import import_module

from django.db import migrations
from django.utils import timezone

shipped = import_module("apps.policies.migrations.0003_policies_of_the_tiers")

SENIOR = {
    "id": "PROD-12",
    "gate": "approvals",
    "text": "A senior engineer approves an emergency.",
    "source": f"{shipped.POLICIES}, Emergency procedures",
    "owner": "PLATFORM",
    "when": "EMERGENCY",
    "settings": {"role": "SENIOR_ENGINEER"},
}
ORDINARY = {"STAGING": ("STAG-1",), "PRODUCTION": ("PROD-3", "PROD-4")}
MORE = {"STAGING": [], "PRODUCTION": [SENIOR]}


def add_emergencies(apps, schema_editor):
    version = apps.get_model("policies", "PolicyVersion")
    shipped.enter_scope(schema_editor)
    for tier, prefix, clauses, limits in shipped.TIERS:
        before = shipped.document_of(tier, prefix, clauses, limits)
        in_force = version.objects.filter(tier=tier, is_active=True, digest=shipped.digest_of(before)).first()
        if tier not in ORDINARY or in_force is None:
            continue
        rows = [{**row, "when": "ORDINARY"} if row["id"] in ORDINARY[tier] else row for row in before["clauses"]]
        document = {**before, "clauses": [*rows, *MORE[tier]]}
        version.objects.filter(pk=in_force.pk).update(is_active=False)
        version.objects.create(
            workspace_id=in_force.workspace_id,
            tier=tier,
            number=in_force.number + 1,
            document=document,
            digest=shipped.digest_of(document),
            reason="What an emergency asks for instead.",
            created_at=timezone.now(),
            is_active=True,
        )


class Migration(migrations.Migration):
    dependencies = [("policies", "0004_proposals"), ("accounts", "0005_senior_engineer")]

    operations = [migrations.RunPython(add_emergencies, migrations.RunPython.noop)]
