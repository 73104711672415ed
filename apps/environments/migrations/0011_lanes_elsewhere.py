from django.db import migrations, models

REMOTE = ("argocd", "github", "gitlab", "flux", "tekton")


class Migration(migrations.Migration):
    dependencies = [("environments", "0010_lanes_have_addresses")]

    operations = [
        migrations.AddConstraint(
            "lane",
            models.CheckConstraint(
                name="lane_remote_has_server",
                condition=~models.Q(executor__in=REMOTE) | models.Q(address__has_key="server"),
            ),
        ),
    ]
