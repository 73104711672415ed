"""Who may say who may."""

from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.core.verdict import Verdict, all_of, refused
from apps.workspaces import rights
from apps.workspaces.models import ApiToken, Workspace


def may_create_workspace(by: User | Actor) -> Verdict:
    """This function will say whether somebody may take in a tenant: the installation's own commands alone."""
    return _administers(by, None)


def may_manage_members(by: User | Actor, workspace: Workspace, person: User) -> Verdict:
    """This function will say whether somebody may give or end a role of this person."""
    verdicts = [_administers(by, workspace)]
    if isinstance(by, User) and by.pk == person.pk:
        verdicts.append(refused("own_role", "Nobody changes their own roles. Ask another administrator."))
    return all_of(verdicts)


def may_create_token(by: User | Actor, workspace: Workspace, scopes: list[str]) -> Verdict:
    """This function will say whether somebody may make a token: they must be able to do all that it may do."""
    return all_of(rights.may(by, rights.SCOPES[scope], workspace.pk, workspace) for scope in scopes)


def may_revoke_token(by: User | Actor, token: ApiToken) -> Verdict:
    """This function will say whether somebody may revoke a token: who made it, or an administrator."""
    if isinstance(by, User) and by.pk == token.created_by_id and by.is_active:
        return all_of(())
    return _administers(by, token.workspace)


def _administers(by: User | Actor, workspace: Workspace | None) -> Verdict:
    if isinstance(by, Actor) and by.type == "SYSTEM":
        return all_of(())
    if isinstance(by, User) and workspace is not None and rights.is_granted(by, (rights.ADMINISTER,), workspace):
        return all_of(())
    return refused("not_administrator", "Only an administrator of the workspace may do this.")
