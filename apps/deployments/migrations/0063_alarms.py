"""A deployment knows when a person was called for it last: nobody reads the audit trail to find that out.

What was alarmed before has no moment: at worst a person is called once more for what still stands.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0062_rollbacks_withheld")]

    operations = [migrations.AddField("deployment", "alarmed_at", models.DateTimeField(blank=True, null=True))]
