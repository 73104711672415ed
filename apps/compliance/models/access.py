from django.db import models


class Change(models.Model):
    """A row that says who may do what, as it became at a moment; `row` is None once it is gone.

    Written by triggers of the database alone, whoever changes the row and by whatever door; never changed, never
    removed. `at` is the database's clock, `through` the role that was signed in there, `actor` who acted in the portal.
    Rows that stood already when this began to be kept are baselines: what they were before is not known.
    """

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=60)
    row_key = models.CharField(max_length=64)
    row = models.JSONField(null=True)
    at = models.DateTimeField()
    through = models.CharField(max_length=63)
    actor = models.UUIDField(null=True)
    is_baseline = models.BooleanField(default=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.source} {self.row_key}"


class AccessChange(Change):
    """Of a row of one workspace: memberships, loans of roles, grants on objects, tokens."""

    workspace_id = models.UUIDField()

    class Meta:
        indexes = [models.Index(name="access_as_of", fields=["workspace_id", "source", "row_key", "-at", "-id"])]


class IdentityChange(Change):
    """Of a row that is the same in all workspaces: whether an account is open, what a role gives, who is in a group."""

    class Meta:
        indexes = [models.Index(name="identity_as_of", fields=["source", "row_key", "-at", "-id"])]
