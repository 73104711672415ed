"""Row-level security of the catalogue; what is sealed never changes."""

from django.db import migrations

from apps.core.row_level_security import immutable, protect, publish, same_workspace

SEALED = (
    "service_id", "version", "major", "minor", "patch", "precedence", "kind", "source", "tag", "commit",
    "artifact_digest", "notes", "content_hash", "author_id", "committer_id", "author_label", "created_by_id",
    "created_by_label", "created_at", "sealed_at",
)  # fmt: skip

GRANT_OWNER = """
CREATE FUNCTION grant_on_service_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT workspace_id INTO STRICT NEW.workspace_id FROM releases_service WHERE id = NEW.content_object_id;
    RETURN NEW;
END $$;
CREATE TRIGGER grant_owner BEFORE INSERT ON releases_serviceuserpermission
    FOR EACH ROW EXECUTE FUNCTION grant_on_service_owner();
CREATE TRIGGER grant_owner BEFORE INSERT ON releases_servicegrouppermission
    FOR EACH ROW EXECUTE FUNCTION grant_on_service_owner();
"""


class Migration(migrations.Migration):
    dependencies = [("releases", "0001_initial"), ("workspaces", "0002_tenancy")]

    operations = [
        *(
            operation
            for table in ("releases_service", "releases_release", "releases_artifact")
            for operation in (protect(table), publish(table))
        ),
        protect("releases_serviceuserpermission"),
        protect("releases_servicegrouppermission"),
        same_workspace("releases_release", "service_id", "releases_service"),
        same_workspace("releases_artifact", "release_id", "releases_release"),
        immutable("releases_release", SEALED, when="OLD.state <> 'DRAFT'"),
        immutable("releases_artifact", ("release_id", "kind", "digest", "manifest", "size")),
        migrations.RunSQL(GRANT_OWNER, "DROP FUNCTION grant_on_service_owner() CASCADE;"),
    ]
