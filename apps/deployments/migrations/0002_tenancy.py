"""Row-level security; an ended deployment stays ended, its transitions and its log never change."""

from django.db import migrations

from apps.core.row_level_security import final, immutable, protect, same_workspace

ENDED = ("SUCCEEDED", "FAILED", "ERRORED", "CANCELLED", "SUPERSEDED", "EXPIRED", "ABANDONED")
CHILDREN = ("deployments_step", "deployments_transition", "deployments_logchunk")


class Migration(migrations.Migration):
    dependencies = [("deployments", "0001_initial"), ("approvals", "0002_tenancy")]

    operations = [
        protect("deployments_deployment"),
        *(protect(table) for table in CHILDREN),
        same_workspace("deployments_deployment", "lane_id", "environments_lane"),
        same_workspace("deployments_deployment", "promotion_id", "approvals_promotion"),
        same_workspace("deployments_deployment", "configuration_id", "configuration_configurationversion"),
        same_workspace("deployments_deployment", "rolls_back_id", "deployments_deployment"),
        *(same_workspace(table, "deployment_id", "deployments_deployment") for table in CHILDREN),
        final("deployments_deployment", ENDED),
        immutable("deployments_transition"),
        immutable("deployments_logchunk"),
    ]
