import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.accounts.models import Role
from apps.audit.actors import Actor
from apps.workspaces.enums import DeploymentModel
from apps.workspaces.querysets import ApiTokenQuerySet, MembershipQuerySet, TenantQuerySet, WorkspaceQuerySet


class Workspace(models.Model):
    """A tenant: the platform team itself, or a customer."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    deployment_model = models.CharField(max_length=10, choices=DeploymentModel)
    created_at = models.DateTimeField()

    objects = WorkspaceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        permissions = [("operate_workspace", "Operate everything in this workspace")]
        constraints = [
            models.CheckConstraint(
                name="workspace_model_known", condition=models.Q(deployment_model__in=DeploymentModel.values)
            )
        ]

    def __str__(self) -> str:
        return self.name


class TenantModel(models.Model):
    """A row of one workspace. The database shows it only inside a transaction whose scope names that workspace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")

    objects = TenantQuerySet.as_manager()

    class Meta:
        abstract = True

    def get_additional_data(self) -> dict[str, str]:
        """What django-auditlog keeps beside a change: the owner, from which the database sets the row's workspace."""
        return {"workspace": str(self.workspace_id)}


class Membership(TenantModel):
    """One role of one person in one workspace. Ended, never removed: who could approve what must stay answerable."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="memberships")
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="membership_once", fields=["workspace", "user", "role"], condition=models.Q(ended_at=None)
            ),
            models.CheckConstraint(
                name="membership_ended_whole",
                condition=models.Q(ended_at=None, ended_by=None)
                | models.Q(ended_at__isnull=False, ended_by__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role_id}"


class WorkspaceUserPermission(UserObjectPermissionBase):
    """A right on one workspace, past what the person's role gives (guardian, with a real foreign key)."""

    content_object = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+", editable=False)


class WorkspaceGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+", editable=False)


class ApiToken(TenantModel):
    """A program's identity. It acts with its own scopes, expires, and can never approve.

    `digest` is the SHA-256 of the token's text, which is shown once and not kept.
    """

    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12)
    scopes = ArrayField(models.CharField(max_length=40))
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="token_revoked_whole",
                condition=models.Q(revoked_at=None, revoked_by=None)
                | models.Q(revoked_at__isnull=False, revoked_by__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def actor(self) -> Actor:
        """Who acts with it, as the ledger knows it."""
        return Actor("TOKEN", str(self.pk), self.name)
