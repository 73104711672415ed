"""For who lost every second factor and recovery code: an operator of the portal takes them away."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts import actions
from apps.accounts.models import User
from apps.audit.actors import SYSTEM
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Refusal
from apps.workspaces.scope import workspace_scope


class Command(BaseCommand):
    help = "Removes a person's second factors and recovery codes; they register others with their password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--reason", required=True, help="kept in the audit trail: who asked, how you knew them")

    def handle(self, *, username: str, reason: str, **options: Any) -> None:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"There is no account {username}. Nothing was changed.")
        try:
            with workspace_scope([PLATFORM_WORKSPACE_ID]):
                number = actions.remove_lost_factors(person, reason=reason, by=SYSTEM)
        except Refusal as refusal:
            raise CommandError(f"{refusal.sentence} Nothing was changed.") from refusal
        self.stdout.write(f"Removed {number} second factors of {person}.")
