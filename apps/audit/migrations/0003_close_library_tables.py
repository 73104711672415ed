"""The tables that guardian and auditlog bring carry no workspace: ours stand in for them, so nobody may use theirs."""

from django.db import migrations

TABLES = "guardian_userobjectpermission, guardian_groupobjectpermission, auditlog_logentry"


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_ledger"),
        ("auditlog", "0017_add_actor_email"),
        ("guardian", "0003_remove_groupobjectpermission_guardian_gr_content_ae6aec_idx_and_more"),
    ]

    operations = [
        migrations.RunSQL(
            f"REVOKE ALL ON {TABLES} FROM eaip_app;",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {TABLES} TO eaip_app;",
        )
    ]
