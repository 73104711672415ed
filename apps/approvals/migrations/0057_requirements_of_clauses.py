"""Each clause asks for its own approval. Rows of before name none: with the next plan they are asked for anew."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_reviewers"),
        ("approvals", "0055_checklists"),
        ("workspaces", "0002_tenancy"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="requirement",
            name="requirement_once",
        ),
        migrations.AddField(
            model_name="requirement",
            name="clause",
            field=models.CharField(blank=True, db_default="", default="", max_length=11),
        ),
        migrations.AddConstraint(
            model_name="requirement",
            constraint=models.UniqueConstraint(
                fields=("promotion", "role", "clause"), name="requirement_of_clause_once"
            ),
        ),
    ]
