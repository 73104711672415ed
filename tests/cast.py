"""The people of the tests: one for each role of the platform, a customer's, and strangers.

`author` made the release, `approver` and `second_approver` decide, `operator` works for the customer; `outsider` may
do everything in a workspace of their own and nothing anywhere else.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from guardian.shortcuts import assign_perm

from apps.accounts.models import User
from apps.audit.actors import SYSTEM
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces import actions
from apps.workspaces.enums import DeploymentModel
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope

NOW = datetime(2026, 11, 18, 19, 0, tzinfo=UTC)  # a Wednesday, 11:00 in Los Angeles
PASSWORD = "eaip-demonstration"
EVERY_ROLE = ("RELEASE_ENGINEER", "ENGINEERING_MANAGER", "DEVOPS", "SECURITY", "AUDITOR", "CUSTOMER_OPERATOR")


@dataclass(frozen=True)
class Cast:
    platform: Workspace
    customer: Workspace
    elsewhere: Workspace
    release_engineer: User
    engineering_manager: User
    devops: User
    second_devops: User
    security: User
    auditor: User
    customer_operator: User
    administrator: User
    outsider: User

    @property
    def workspaces(self) -> tuple[Workspace, ...]:
        return self.platform, self.customer, self.elsewhere


def make_cast() -> Cast:
    """Make the people. The caller stands in a scope that names the platform."""
    platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
    customer = _workspace("north-bank", "North Bank")
    elsewhere = _workspace("elsewhere", "Elsewhere")
    with workspace_scope([platform.pk, customer.pk, elsewhere.pk]):
        administrator = make_person("administrator", "Administrator", (), platform)
        for workspace in (platform, customer):
            assign_perm("operate_workspace", administrator, workspace)
        return Cast(
            platform=platform,
            customer=customer,
            elsewhere=elsewhere,
            release_engineer=make_person("release-engineer", "Release engineer", ("RELEASE_ENGINEER",), platform),
            engineering_manager=make_person(
                "engineering-manager", "Engineering manager", ("ENGINEERING_MANAGER",), platform
            ),
            devops=make_person("devops", "DevOps", ("DEVOPS",), platform),
            second_devops=make_person("second-devops", "Second DevOps", ("DEVOPS",), platform),
            security=make_person("security", "Security", ("SECURITY",), platform),
            auditor=make_person("auditor", "Auditor", ("AUDITOR",), platform),
            customer_operator=make_person("customer-operator", "Customer's operator", ("CUSTOMER_OPERATOR",), customer),
            administrator=administrator,
            outsider=make_person("outsider", "Outsider", EVERY_ROLE, elsewhere),
        )


def make_person(username: str, display_name: str, roles: tuple[str, ...], workspace: Workspace) -> User:
    """Make a person with these roles in the workspace; they sign in with PASSWORD."""
    person = User.objects.create(username=username, display_name=display_name, password=_password())
    for role in roles:
        actions.grant_role(person, role=role, workspace=workspace, by=SYSTEM, now=NOW)
    return person


def _workspace(slug: str, name: str) -> Workspace:
    return actions.create_workspace(slug=slug, name=name, deployment_model=DeploymentModel.BYOC, by=SYSTEM, now=NOW)


@cache
def _password() -> str:
    return make_password(PASSWORD)


@pytest.fixture
def cast(own_copy: tuple[Cast, object]) -> Iterator[Cast]:
    """The people. A test that doesn't commit sees all their workspaces; one that does opens its own scope."""
    people, _world = own_copy
    with ExitStack() as stack:
        if connection.in_atomic_block:
            stack.enter_context(workspace_scope([workspace.pk for workspace in people.workspaces]))
        yield people


@pytest.fixture
def release_engineer(cast: Cast) -> User:
    return cast.release_engineer


@pytest.fixture
def author(cast: Cast) -> User:
    return cast.release_engineer


@pytest.fixture
def engineering_manager(cast: Cast) -> User:
    return cast.engineering_manager


@pytest.fixture
def approver(cast: Cast) -> User:
    return cast.engineering_manager


@pytest.fixture
def devops(cast: Cast) -> User:
    return cast.devops


@pytest.fixture
def second_approver(cast: Cast) -> User:
    return cast.devops


@pytest.fixture
def security(cast: Cast) -> User:
    return cast.security


@pytest.fixture
def auditor(cast: Cast) -> User:
    return cast.auditor


@pytest.fixture
def customer_operator(cast: Cast) -> User:
    return cast.customer_operator


@pytest.fixture
def operator(cast: Cast) -> User:
    return cast.customer_operator


@pytest.fixture
def outsider(cast: Cast) -> User:
    return cast.outsider
