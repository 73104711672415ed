"""Row-level security; an ended promotion stays ended, a decision is voided but never changed."""

from django.db import migrations

from apps.core.row_level_security import final, immutable, protect, same_workspace

ENDED = ("COMPLETED", "FAILED", "REJECTED", "EXPIRED", "SUPERSEDED", "WITHDRAWN")
DECIDED = ("requirement_id", "promotion_id", "choice", "comment", "plan_hash", "decided_at", "decided_by_id")


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0001_initial"),
        ("configuration", "0002_tenancy"),
        ("releases", "0002_tenancy"),
    ]

    operations = [
        protect("approvals_promotion"),
        protect("approvals_requirement"),
        protect("approvals_decision"),
        same_workspace("approvals_promotion", "lane_id", "environments_lane"),
        same_workspace("approvals_promotion", "configuration_id", "configuration_configurationversion"),
        same_workspace("approvals_requirement", "promotion_id", "approvals_promotion"),
        same_workspace("approvals_decision", "requirement_id", "approvals_requirement"),
        same_workspace("approvals_decision", "promotion_id", "approvals_promotion"),
        final("approvals_promotion", ENDED),
        immutable("approvals_decision", DECIDED),
    ]
