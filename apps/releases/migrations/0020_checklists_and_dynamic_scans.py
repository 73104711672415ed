"""Two more kinds of evidence: what jobs say of lines of checklists, and findings of who tried the release out."""

from importlib import import_module

from django.db import migrations, models

KINDS = [
    *import_module("apps.releases.migrations.0017_event_schemas").KINDS,
    ("CHECKLIST", "Lines of checklists"),
]
KINDS.insert([kind for kind, _ in KINDS].index("ZAP") + 1, ("DAST", "Findings of a dynamic scan (SARIF)"))


class Migration(migrations.Migration):
    dependencies = [("releases", "0019_ends_of_life")]

    operations = [
        migrations.RemoveConstraint(model_name="evidence", name="evidence_kind_known"),
        migrations.AlterField(model_name="evidence", name="kind", field=models.CharField(choices=KINDS, max_length=10)),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", [kind for kind, _ in KINDS])), name="evidence_kind_known"
            ),
        ),
    ]
