"""Lines that a job may tick beside the role; and ticks that name the report that says so."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from apps.core.row_level_security import immutable, same_workspace


class Migration(migrations.Migration):
    dependencies = [("approvals", "0063_list_what_waits"), ("releases", "0020_checklists_and_dynamic_scans")]

    operations = [
        migrations.AddField("checklistline", "job", models.BooleanField(default=False)),
        migrations.AddConstraint(
            "checklistline",
            models.CheckConstraint(condition=Q(job=False) | Q(follows=""), name="checklist_line_job_beside_role"),
        ),
        migrations.AddField(
            "tick",
            "evidence",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="releases.evidence",
            ),
        ),
        migrations.AddConstraint(
            "tick",
            models.CheckConstraint(
                condition=Q(evidence=None) | Q(ticked_by=None, on_behalf_of=None), name="tick_of_person_or_job"
            ),
        ),
        same_workspace("approvals_tick", "evidence_id", "releases_evidence"),
        immutable("approvals_checklistline", ("job",), name="job_as_asked"),
        immutable("approvals_tick", ("evidence_id",), name="evidence_as_told"),
    ]
