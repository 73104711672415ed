"""What an emergency asks for instead: in Staging no tier before, in Production one senior engineer. And who decides on
Production confirms that it is them.

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
# Who has no second factor, as in the demonstration, gives the password again.
STEP_UP = "second_factor_or_password"
ORDINARY = {"STAGING": ("STAG-1",), "PRODUCTION": ("PROD-3", "PROD-4")}
MORE = {"STAGING": [], "PRODUCTION": [SENIOR]}


def confirmed(clause):
    if clause["gate"] != "approvals":
        return clause
    return {**clause, "settings": {**clause["settings"], "step_up": STEP_UP}}


def add_versions(apps, schema_editor):
    version = apps.get_model("policies", "PolicyVersion")
    shipped.enter_scope(schema_editor)
    for tier, prefix, clauses, limits in shipped.TIERS:
        before = shipped.document_of(tier, prefix, clauses, limits)
        in_force = version.objects.filter(tier=tier, is_active=True, digest=shipped.digest_of(before)).first()
        if tier not in ORDINARY or in_force is None:
            continue
        rows = [{**row, "when": "ORDINARY"} if row["id"] in ORDINARY[tier] else row for row in before["clauses"]]
        document = {**before, "clauses": [confirmed(row) for row in (*rows, *MORE[tier])]}
        version.objects.filter(pk=in_force.pk).update(is_active=False)
        version.objects.create(
            workspace_id=in_force.workspace_id,
            tier=tier,
            number=in_force.number + 1,
            document=document,
            digest=shipped.digest_of(document),
            reason="What an emergency asks for instead, and that who decides confirms that it is them.",
            created_at=timezone.now(),
            is_active=True,
        )


class Migration(migrations.Migration):
    dependencies = [("policies", "0004_proposals"), ("accounts", "0005_senior_engineer")]

    operations = [migrations.RunPython(add_versions, migrations.RunPython.noop)]
