import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import transaction

from apps.accounts.models import Role, User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core.verdict import Conflict, Invalid
from apps.workspaces import permissions
from apps.workspaces.models import ApiToken, Membership, Workspace
from apps.workspaces.rights import SCOPES
from apps.workspaces.scope import workspace_scope

TOKEN_PREFIX = "eaip_"  # noqa: S105  what makes a leaked token findable
TOKEN_DAYS = range(1, 366)


class RoleHeld(Conflict):
    code = "role_held"


class RoleEnded(Conflict):
    code = "role_ended"


class TokenInvalid(Invalid):
    code = "token_invalid"


class TokenRevoked(Conflict):
    code = "token_revoked"


def create_workspace(
    *, slug: str, name: str, deployment_model: str, by: User | Actor, now: datetime, workspace_id: UUID | None = None
) -> Workspace:
    """This function will take in a tenant. Its own rows are visible only in a scope that names it."""
    permissions.may_create_workspace(by).require()
    workspace = Workspace(
        pk=workspace_id or uuid4(), slug=slug, name=name, deployment_model=deployment_model, created_at=now
    )
    with workspace_scope([workspace.pk]):
        workspace.save(force_insert=True)
        audit.record(
            "workspace.created",
            by=by,
            target=workspace,
            workspace_id=workspace.pk,
            summary=f"Created the workspace {name}",
            after={"slug": slug, "deployment_model": deployment_model},
        )
    return workspace


@transaction.atomic
def grant_role(user: User, *, role: str, workspace: Workspace, by: User | Actor, now: datetime) -> Membership:
    """This function will give a person a role in a workspace.

    Raises RoleHeld: when they hold it already.
    """
    permissions.may_manage_members(by, workspace, user).require()
    held = Role.objects.get(code=role)
    membership, made = Membership.objects.get_or_create(
        workspace=workspace,
        user=user,
        role=held,
        ended_at=None,
        defaults={"granted_at": now, "granted_by": by if isinstance(by, User) else None},
    )
    if not made:
        raise RoleHeld(f"{user} is {held.label} in {workspace} already.")
    audit.record(
        "membership.granted",
        by=by,
        target=user,
        workspace_id=workspace.pk,
        summary=f"{user} became {held.label} in {workspace}",
        after={"role": held.code},
    )
    return membership


@transaction.atomic
def end_role(membership: Membership, *, by: User | Actor, now: datetime) -> Membership:
    """This function will end a role of a person. What they decided by it stays on record.

    Raises RoleEnded: when it has ended already.
    """
    membership = Membership.objects.locked().select_related("user", "role", "workspace").get(pk=membership.pk)
    permissions.may_manage_members(by, membership.workspace, membership.user).require()
    if membership.ended_at is not None:
        raise RoleEnded(f"{membership.user} is no longer {membership.role.label} in {membership.workspace}.")
    membership.ended_at, membership.ended_by = now, by if isinstance(by, User) else membership.user
    membership.save(update_fields=["ended_at", "ended_by"])
    audit.record(
        "membership.ended",
        by=by,
        target=membership.user,
        workspace_id=membership.workspace_id,
        summary=f"{membership.user} is no longer {membership.role.label} in {membership.workspace}",
        before={"role": membership.role_id},
    )
    return membership


@transaction.atomic
def create_token(
    workspace: Workspace, *, name: str, scopes: list[str], days: int, by: User, now: datetime
) -> tuple[ApiToken, str]:
    """This function will make an identity for a program and return it with its text, which nobody can read again.

    Units: days, 1 to 365.
    Raises TokenInvalid: when a scope is unknown, none is named, the name is empty, or the days are out of bounds.
    """
    if not name.strip() or len(name) > 80:
        raise TokenInvalid("A token needs a name of at most 80 characters.")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise TokenInvalid(f"There is no scope {', '.join(unknown)}. Scopes: {', '.join(SCOPES)}.")
    if not scopes:
        raise TokenInvalid(f"A token needs at least one scope: {', '.join(SCOPES)}.")
    if days not in TOKEN_DAYS:
        raise TokenInvalid("A token is valid for 1 to 365 days.")
    permissions.may_create_token(by, workspace, scopes).require()
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        workspace=workspace,
        name=name.strip(),
        digest=digest_of(text),
        prefix=text[:12],
        scopes=sorted(set(scopes)),
        created_by=by,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    audit.record(
        "token.created",
        by=by,
        target=token,
        summary=f"Created the API token {token.name}",
        after={"prefix": token.prefix, "scopes": token.scopes, "expires_at": token.expires_at},
    )
    return token, text


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User, now: datetime) -> ApiToken:
    """This function will end a token at once.

    Raises TokenRevoked: when it is revoked already.
    """
    token = ApiToken.objects.locked().select_related("workspace").get(pk=token.pk)
    permissions.may_revoke_token(by, token).require()
    if token.revoked_at is not None:
        raise TokenRevoked(f"The token {token.name} is revoked already.")
    token.revoked_at, token.revoked_by = now, by
    token.save(update_fields=["revoked_at", "revoked_by"])
    audit.record("token.revoked", by=by, target=token, summary=f"Revoked the API token {token.name}")
    return token


def digest_of(text: str) -> str:
    """This function will return what the database keeps of a token's text."""
    return hashlib.sha256(text.encode()).hexdigest()
