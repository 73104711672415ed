"""What a person may do in a workspace: by the roles they hold there, or by a grant on one object (guardian).

Being a superuser gives nothing here: separation of duties must not depend on who administers the database.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, Model, OuterRef, Q
from guardian.utils import get_group_obj_perms_model, get_user_obj_perms_model

from apps.accounts.enums import Capability
from apps.accounts.models import Role, User
from apps.audit.actors import Actor
from apps.core.verdict import ALLOWED, Verdict, refused
from apps.workspaces.models import ApiToken, Membership, WorkspaceGroupPermission, WorkspaceUserPermission

ADMINISTER = "operate_workspace"

# What a grant on one object covers. None covers deciding, on promotions, on the rules that they are judged by or on
# what is kept of it all: who approves must hold the role that is asked for.
GRANTS: dict[str, frozenset[str]] = {
    "operate_workspace": frozenset(
        set(Capability.values) - {Capability.PROMOTION_DECIDE, Capability.POLICY_CHANGE, Capability.AUDIT_KEEP}
    ),
    "deploy_environment": frozenset({Capability.PROMOTION_REQUEST}),
    "operate_environment": frozenset(
        {
            Capability.PROMOTION_REQUEST, Capability.DEPLOYMENT_OPERATE, Capability.DEPLOYMENT_ROLL_BACK,
            Capability.ENVIRONMENT_MANAGE, Capability.FREEZE, Capability.CONFIGURE,
        }
    ),
    "release_service": frozenset({Capability.RELEASE_CREATE}),
    "operate_service": frozenset(
        {Capability.DEPLOYMENT_OPERATE, Capability.DEPLOYMENT_ROLL_BACK, Capability.FREEZE, Capability.CONFIGURE}
    ),
}  # fmt: skip

# What a token may ask for, and what that lets it do. No scope lets a program decide.
# An alert can bring the release before it back. A cluster only asks what may run in it: who claims its namespaces may
# let it ask, and no address lets a token change an environment. Backups and refreshes of data are the operators'.
SCOPES: dict[str, Capability] = {
    "release:create": Capability.RELEASE_CREATE,
    "alerts:write": Capability.DEPLOYMENT_ROLL_BACK,
    "records:write": Capability.DEPLOYMENT_OPERATE,
    "admission:review": Capability.ENVIRONMENT_MANAGE,
    "audit:export": Capability.AUDIT_EXPORT,
}


@dataclass(frozen=True)
class Rights:
    """All that one person may do in some workspaces, loaded once for a page; asks nothing more."""

    roles: Mapping[UUID, frozenset[str]]
    capabilities: Mapping[UUID, frozenset[str]]
    holders_of: Mapping[str, tuple[str, ...]]

    def may(self, capability: str, workspace_id: UUID) -> Verdict:
        if capability in self.capabilities.get(workspace_id, frozenset()):
            return ALLOWED
        return _refused(capability, self.holders_of.get(capability, ()))

    def may_any(self, capability: str) -> Verdict:
        """This function will say whether the person may do it in at least one of the workspaces."""
        if any(capability in held for held in self.capabilities.values()):
            return ALLOWED
        return _refused(capability, self.holders_of.get(capability, ()))

    def require_any(self, capability: str) -> tuple[UUID, ...]:
        """This function will return the workspaces where the person may do it. Raises Denied: when there is none."""
        self.may_any(capability).require()
        return tuple(workspace for workspace, held in self.capabilities.items() if capability in held)


def rights_of(user: User, workspaces: Iterable[UUID]) -> Rights:
    """This function will load the rights of a person in these workspaces, in two queries however many there are.

    Shapes: grants on single objects are not in it; `may` asks for them.
    """
    roles = {role.code: role for role in Role.objects.all()}
    held: dict[UUID, set[str]] = {workspace: set() for workspace in workspaces}
    if user.is_active:
        memberships = Membership.objects.current().filter(user_id=user.pk, workspace_id__in=held)
        for workspace, code in memberships.values_list("workspace_id", "role_id"):
            held[workspace].add(code)
    return Rights(
        roles={workspace: frozenset(codes) for workspace, codes in held.items()},
        capabilities={
            workspace: frozenset(capability for code in codes for capability in roles[code].capabilities)
            for workspace, codes in held.items()
        },
        holders_of={capability: _labels(roles.values(), capability) for capability in Capability.values},
    )


def capabilities_of(user: User, workspace_id: UUID) -> frozenset[str]:
    """This function will return the capabilities that the person's roles in the workspace give."""
    return rights_of(user, [workspace_id]).capabilities[workspace_id]


def has_role(user: User, role_code: str, workspace_id: UUID) -> bool:
    """This function will say whether the person holds the role now."""
    memberships = Membership.objects.current().filter(user_id=user.pk, role_id=role_code, workspace_id=workspace_id)
    return memberships.exists()


def holders(role_code: str, workspace_id: UUID) -> list[User]:
    """This function will return the people who hold the role in the workspace now, by name."""
    memberships = Membership.objects.current().filter(role_id=role_code, workspace_id=workspace_id)
    return list(User.objects.filter(pk__in=memberships.values("user_id")).order_by("display_name", "username"))


def capable(capability: str, workspace_id: UUID) -> list[User]:
    """This function will return the people to whom a role in the workspace gives the capability, by name."""
    held = Membership.objects.current().filter(workspace_id=workspace_id, role__capabilities__contains=[capability])
    return list(User.objects.filter(pk__in=held.values("user_id")).order_by("display_name", "username"))


def administrators(workspace_id: UUID) -> list[User]:
    """This function will return who may give roles in the workspace: by a grant, or that of a group of theirs."""
    of_people = WorkspaceUserPermission.objects.filter(workspace_id=workspace_id, permission__codename=ADMINISTER)
    of_groups = WorkspaceGroupPermission.objects.filter(workspace_id=workspace_id, permission__codename=ADMINISTER)
    granted = Q(pk__in=of_people.values("user_id")) | Q(groups__in=of_groups.values("group_id"))
    return list(User.objects.filter(granted, is_active=True).distinct().order_by("display_name", "username"))


def may(by: User | Actor, capability: str, workspace_id: UUID, obj: Model | None = None) -> Verdict:
    """This function will say whether somebody may do this in the workspace, or on this object of it.

    The portal itself may; a token may what its scopes say; a person what their roles or a grant on `obj` say.
    """
    if isinstance(by, Actor):
        return _may_act(by, capability, workspace_id)
    if not by.is_active:
        return refused("account_closed", "This account is closed.")
    memberships = Membership.objects.current().filter(user_id=by.pk, workspace_id=workspace_id, role=OuterRef("pk"))
    roles = list(Role.objects.annotate(is_held=Exists(memberships)))
    if any(capability in role.capabilities for role in roles if role.is_held):
        return ALLOWED
    codenames = [codename for codename, covered in GRANTS.items() if capability in covered]
    if obj is not None and is_granted(by, codenames, obj):
        return ALLOWED
    return _refused(capability, _labels(roles, capability))


def is_granted(user: User, codenames: Iterable[str], obj: Model) -> bool:
    """This function will say whether the person, or a group of theirs, has one of these grants on the object."""
    of_person = get_user_obj_perms_model(obj)._default_manager.filter(
        content_object_id=obj.pk, user_id=user.pk, permission__codename__in=codenames
    )
    of_groups = get_group_obj_perms_model(obj)._default_manager.filter(
        Q(group__user=user.pk), content_object_id=obj.pk, permission__codename__in=codenames
    )
    return of_person.values("pk").union(of_groups.values("pk")).exists()


def _may_act(by: Actor, capability: str, workspace_id: UUID) -> Verdict:
    if by.type == "SYSTEM":
        return ALLOWED
    if by.type == "TOKEN":
        scopes = [scope for scope, covered in SCOPES.items() if covered == capability]
        if ApiToken.objects.filter(pk=by.id, workspace_id=workspace_id, scopes__overlap=scopes).exists():
            return ALLOWED
        needed = f"It needs the scope {scopes[0]}." if scopes else "No token can do that."
        return refused("scope_missing", f"This token does not cover it. {needed}")
    return refused("not_signed_in", "Sign in first.")


def _labels(roles: Iterable[Role], capability: str) -> tuple[str, ...]:
    return tuple(role.label for role in roles if capability in role.capabilities)


def _refused(capability: str, labels: tuple[str, ...]) -> Verdict:
    who = f" Ask somebody who is {' or '.join(labels)} there." if labels else ""
    words = Capability(capability).label
    return refused("role_missing", f"Your roles in this workspace do not let you {words}.{who}")
