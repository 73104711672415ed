"""One account for each role. They are named after the role, so that nobody takes them for a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from apps.accounts import actions as account_actions
from apps.accounts.models import User
from apps.audit.actors import SYSTEM
from apps.workspaces import actions
from apps.workspaces.models import Membership, Workspace

PASSWORD = settings.DEMONSTRATION_PASSWORD


@dataclass(frozen=True)
class Account:
    username: str
    display_name: str
    platform_role: str = ""
    customer_role: str = ""
    told: str = ""
    also: tuple[str, ...] = ()  # other roles in the platform


ACCOUNTS = (
    # Takes releases to the customer's environments too; only the customer can accept them there.
    Account(
        "release-engineer", "Release engineer", "RELEASE_ENGINEER", "RELEASE_ENGINEER",
        "makes releases and asks for promotions",
    ),
    Account(
        "engineering-manager", "Engineering manager", "ENGINEERING_MANAGER", "",
        "approves what comes to Production",
    ),
    Account("devops", "DevOps", "DEVOPS", "", "approves, operates, freezes, rolls back", also=("SENIOR_ENGINEER",)),
    Account(
        "security", "Security", "SECURITY", "", "quarantines, freezes, approves data migrations, reads the audit trail",
        also=("MIGRATION_APPROVER",),
    ),
    Account(
        "architect", "Architect", "ARCHITECTURE_REVIEWER", "", "reviews major changes, infrastructure, performance",
        also=("CAB", "PERFORMANCE_REVIEWER"),
    ),
    Account("auditor", "Auditor", "AUDITOR", "", "reads and exports the audit trail"),
    Account(
        "customer-operator", "Customer's operator", "", "CUSTOMER_OPERATOR",
        "accepts releases in the customer's own cloud",
    ),
)  # fmt: skip


def load(platform: Workspace, customer: Workspace, *, now: datetime) -> Mapping[str, User]:
    """This function will make the accounts that are missing and return all by name."""
    people = {account.username: _person(account, now) for account in ACCOUNTS}
    held = set(Membership.objects.current().values_list("user_id", "role_id", "workspace_id"))
    for account in ACCOUNTS:
        person = people[account.username]
        for workspace, role in (
            (platform, account.platform_role), (customer, account.customer_role),
            *((platform, role) for role in account.also),
        ):  # fmt: skip
            if role and (person.pk, role, workspace.pk) not in held:
                actions.grant_role(person, role=role, workspace=workspace, by=SYSTEM, now=now)
    return people


def _person(account: Account, now: datetime) -> User:
    return User.objects.filter(username=account.username).first() or account_actions.create_account(
        username=account.username,
        display_name=account.display_name,
        email=f"{account.username}@example.com",
        password=PASSWORD,
        by=SYSTEM,
        now=now,
    )
