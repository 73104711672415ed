"""Row-level security; a policy version never changes but for being in force."""

from django.db import migrations

from apps.core.row_level_security import immutable, protect, publish


class Migration(migrations.Migration):
    dependencies = [("policies", "0001_initial"), ("workspaces", "0002_tenancy")]

    operations = [
        protect("policies_policyversion"),
        publish("policies_policyversion"),
        immutable("policies_policyversion", ("tier", "number", "document", "digest", "reason", "created_at")),
    ]
