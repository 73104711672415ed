"""What was made void stays so, with its moment and its reason, also against plain SQL."""

from django.db import migrations

from apps.core.row_level_security import immutable

TABLES = {
    "approvals_decision": ("voided_at", "void_reason"),
    "approvals_waiver": ("voided_at", "void_reason"),
    "approvals_tick": ("voided_at", "voided_by_id", "void_reason"),
}


class Migration(migrations.Migration):
    dependencies = [("approvals", "0059_waivers_of_more_reports")]

    operations = [
        immutable(table, columns, when="OLD.voided_at IS NOT NULL", name="void_once")
        for table, columns in TABLES.items()
    ]
