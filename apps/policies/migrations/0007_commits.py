from django.db import migrations, models

from apps.core.row_level_security import immutable


class Migration(migrations.Migration):
    dependencies = [("policies", "0006_evidence_and_soak")]

    operations = [
        migrations.AddField("policyproposal", "commit", models.CharField(blank=True, max_length=64)),
        immutable("policies_policyproposal", ("commit",), name="immutable_commit"),
    ]
