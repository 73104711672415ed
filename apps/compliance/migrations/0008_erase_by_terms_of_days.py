"""Erasure looks in the index as it is since audit 0009, and leaves no name on filters that the person saved."""

from importlib import import_module

from django.db import migrations

before = import_module("apps.compliance.migrations.0004_retention")

ERASE_BEFORE = before.ERASE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
ERASE = ERASE_BEFORE.replace(f"audit_terms({before.PARTS})", f"audit_terms({before.PARTS}, recorded_at)").replace(
    "    -- What django-auditlog kept",
    "    UPDATE public.audit_savedfilter SET owner_label = instead WHERE owner_id = who::uuid;\n"
    "    -- What django-auditlog kept",
)


class Migration(migrations.Migration):
    dependencies = [("compliance", "0007_anchors"), ("audit", "0009_search_by_days")]

    operations = [
        migrations.RunSQL(
            "GRANT SELECT, UPDATE ON audit_savedfilter TO eaip_gate;",
            "REVOKE SELECT, UPDATE ON audit_savedfilter FROM eaip_gate;",
        ),
        migrations.RunSQL(ERASE, ERASE_BEFORE),
    ]
