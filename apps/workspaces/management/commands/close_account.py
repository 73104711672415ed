"""For who leaves: an operator of the portal closes their account."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.accounts import actions as account_actions
from apps.accounts.models import User
from apps.audit.actors import SYSTEM
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Refusal
from apps.workspaces import actions
from apps.workspaces.models import Membership
from apps.workspaces.scope import workspace_scope, workspaces_of


class Command(BaseCommand):
    help = "Closes a person's account and ends their roles. Revoke the tokens that they made in their workspaces."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--reason", required=True, help="kept in the audit trail: who asked for it")

    def handle(self, *, username: str, reason: str, **options: Any) -> None:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"There is no account {username}. Nothing was changed.")
        try:
            with workspace_scope([PLATFORM_WORKSPACE_ID, *workspaces_of(person)]):
                held = list(Membership.objects.filter(user=person, ended_at=None))
                for membership in held:
                    actions.end_role(membership, by=SYSTEM, now=timezone.now())
                account_actions.close_account(person, reason=reason, by=SYSTEM)
        except Refusal as refusal:
            raise CommandError(f"{refusal.sentence} Nothing was changed.") from refusal
        self.stdout.write(f"Closed the account of {person} and ended {len(held)} roles.")
