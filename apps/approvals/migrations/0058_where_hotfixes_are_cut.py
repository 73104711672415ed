"""Where the hotfix of an emergency was cut. In which workspaces a repository is to be asked is told past the scope."""

from django.db import migrations, models

from apps.core.row_level_security import definer

HOTFIXES_DUE = """
CREATE FUNCTION hotfixes_due() RETURNS TABLE (workspace_id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT p.workspace_id FROM public.approvals_promotion p
    JOIN public.incidents_incident i ON i.id = p.incident_id AND i.state = 'OPEN'
    WHERE p.state IN ('PENDING', 'READY')
    UNION
    SELECT d.workspace_id FROM public.incidents_debt d WHERE d.kind = 'MERGE_BACK' AND d.paid_at IS NULL
$$;
GRANT SELECT ON approvals_promotion, incidents_incident, incidents_debt TO eaip_gate;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0057_requirements_of_clauses"),
        ("incidents", "0003_hotfixes_are_merged_back"),
    ]

    operations = [
        migrations.AddField(
            model_name="promotion",
            name="cut_from",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="promotion",
            name="origin",
            field=models.CharField(
                blank=True,
                choices=[("PRODUCTION", "PRODUCTION"), ("ELSEWHERE", "ELSEWHERE"), ("UNTOLD", "UNTOLD")],
                db_default="",
                default="",
                max_length=10,
            ),
        ),
        migrations.RunSQL(HOTFIXES_DUE, "DROP FUNCTION hotfixes_due();"),
        definer("hotfixes_due()"),
    ]
