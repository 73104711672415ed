"""SemVer orders pre-releases by ASCII, which no language's collation does."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("releases", "0002_tenancy")]

    operations = [
        migrations.AlterField(
            model_name="release",
            name="precedence",
            field=models.CharField(db_collation="C", max_length=200),
        ),
    ]
