"""Who may make releases, take them out of use, and answer for what scanners found in them."""

from collections.abc import Iterator
from uuid import UUID

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.core.verdict import Reason, Verdict, refused
from apps.releases.enums import ReleaseSource
from apps.releases.models import Acceptance, Release, Service
from apps.workspaces import rights
from apps.workspaces.models import Workspace

SECURITY = "SECURITY"


def may_register(by: User | Actor, workspace: Workspace) -> Verdict:
    """This function will say whether somebody may add a service to the catalogue."""
    return rights.may(by, Capability.RELEASE_CREATE, workspace.pk, workspace)


def may_release(by: User | Actor, service: Service) -> Verdict:
    """This function will say whether somebody may create, seal and retire releases of the service."""
    return rights.may(by, Capability.RELEASE_CREATE, service.workspace_id, service)


def may_announce_end(by: User | Actor, service: Service) -> Verdict:
    """This function will say whether somebody may announce that a line of the service ends, or take that back."""
    if isinstance(by, Actor):
        return refused("not_a_person", "Only a person can say when support ends; tokens and programs can't.")
    return may_release(by, service)


def may_quarantine(by: User | Actor, release: Release) -> Verdict:
    """This function will say whether somebody may quarantine the release, or lift that."""
    return rights.may(by, Capability.QUARANTINE, release.workspace_id, release.service)


def may_declare(by: User | Actor, release: Release) -> Verdict:
    """This function will say whether somebody may declare a trait of the release: who makes releases of the service,
    or may keep this one back.
    """
    return may_release(by, release.service) or may_quarantine(by, release)


def may_accept(by: User | Actor, release: Release) -> Verdict:
    """This function will say whether somebody may accept a finding of the release: who answers for security in its
    workspace, and had no part in the release. Neither grants nor being a superuser count.
    """
    if isinstance(by, Actor):
        return refused("not_a_person", "Only a person can accept a finding; tokens and programs can't.")
    return Verdict((*_missing_role(by, release.workspace_id), *own_change(by.pk, release, "You")))


def may_withdraw_acceptance(by: User, service: Service) -> Verdict:
    """This function will say whether somebody may end acceptances of the service early: who answers for security."""
    return Verdict(tuple(_missing_role(by, service.workspace_id)))


def counts(acceptance: Acceptance, *, severity: int, release: Release) -> bool:
    """This function will say whether an acceptance counts for what it is of, as bad as that is, in this release."""
    return severity <= acceptance.severity and not any(own_change(acceptance.accepted_by_id, release, ""))


def own_change(person_id: UUID, release: Release, who: str) -> Iterator[Reason]:
    """This function will say which part somebody had in a release, that another person has to judge."""
    if person_id == release.author_id:
        yield Reason("own_change", f"{who} wrote {release.version}: somebody else must decide.")
    elif person_id == release.committer_id:
        yield Reason("own_commit", f"{who} committed {release.version}: somebody else must decide.")
    elif person_id == release.created_by_id and release.source == ReleaseSource.API:
        # Whoever holds the token says who the author was, so who made the token is barred whatever it says.
        yield Reason("own_token", f"{who} made the token that {release.version} came by: somebody else must decide.")
    elif person_id == release.created_by_id and release.author_id is None:
        # Where nobody is known as the author, who entered the release stands for them.
        yield Reason("own_release", f"{who} entered {release.version}: somebody else must decide.")


def _missing_role(by: User, workspace_id: UUID) -> Iterator[Reason]:
    if not by.is_active:
        yield Reason("account_closed", "This account is closed.")
    elif not rights.has_role(by, SECURITY, workspace_id):
        yield Reason("role_missing", "This needs somebody who is Security there.")
