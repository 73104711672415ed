"""A hotfix is owed to the main branch, too: the portal sees by itself when it is there."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incidents", "0002_debts")]

    operations = [
        migrations.RemoveConstraint(
            model_name="debt",
            name="debt_document_once",
        ),
        migrations.RemoveConstraint(
            model_name="debt",
            name="debt_kind_matches",
        ),
        migrations.RemoveConstraint(
            model_name="debt",
            name="debt_paid_whole",
        ),
        migrations.AlterField(
            model_name="debt",
            name="kind",
            field=models.CharField(
                choices=[
                    ("APPROVAL", "Approval afterwards"),
                    ("MERGE_BACK", "Hotfix merged back"),
                    ("POST_MORTEM", "Post-mortem"),
                    ("PUBLICATION", "Publication of the post-mortem"),
                ],
                max_length=11,
            ),
        ),
        migrations.AddConstraint(
            model_name="debt",
            constraint=models.UniqueConstraint(
                condition=models.Q(("promotion", None)), fields=("incident", "kind"), name="debt_document_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="debt",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "MERGE_BACK")), fields=("promotion",), name="debt_merge_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="debt",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "APPROVAL"), ("promotion__isnull", False), ("role__isnull", False)),
                    models.Q(("kind", "MERGE_BACK"), ("promotion__isnull", False), ("role", None)),
                    models.Q(("kind__in", ["POST_MORTEM", "PUBLICATION"]), ("promotion", None), ("role", None)),
                    _connector="OR",
                ),
                name="debt_kind_matches",
            ),
        ),
        migrations.AddConstraint(
            model_name="debt",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("paid_at", None), ("paid_by", None)),
                    models.Q(("paid_at__isnull", False), ("paid_by__isnull", False)),
                    models.Q(("kind", "MERGE_BACK"), ("paid_at__isnull", False)),
                    _connector="OR",
                ),
                name="debt_paid_whole",
            ),
        ),
    ]
