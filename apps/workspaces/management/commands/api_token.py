"""For who runs the portal: makes, lists and revokes the tokens by which programs sign in to the API."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.accounts.models import User
from apps.core.verdict import Refusal
from apps.workspaces import actions
from apps.workspaces.models import ApiToken, Workspace
from apps.workspaces.rights import SCOPES
from apps.workspaces.scope import workspace_scope, workspaces_of


class Command(BaseCommand):
    help = "Makes, lists or revokes API tokens of a workspace, as a person who may do there what the token may."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=("create", "list", "revoke"))
        parser.add_argument("name", nargs="?", default="", help="of a new token; of one to revoke its first 12 letters")
        parser.add_argument("--by", required=True, metavar="USERNAME", help="who answers for it in the audit trail")
        parser.add_argument("--workspace", default="platform", metavar="SHORT-NAME", help="platform, if none is named")
        parser.add_argument("--scope", action="append", default=[], dest="scopes", choices=list(SCOPES))
        parser.add_argument("--days", type=int, default=90, help="how long it is valid: 1 to 365, 90 if not said")

    def handle(self, *, what: str, by: str, workspace: str, **options: Any) -> None:
        person = User.objects.filter(username=by, is_active=True).first()
        if person is None:
            raise CommandError(f"There is no active account {by}. Nothing was changed.")
        with workspace_scope(workspaces_of(person)):
            place = Workspace.objects.filter(slug=workspace).first()
            if place is None:
                raise CommandError(f"{by} sees no workspace {workspace}. Nothing was changed.")
            try:
                getattr(self, f"_{what}")(place, person, **options)
            except Refusal as refusal:
                raise CommandError(f"{refusal.sentence} Nothing was changed.") from refusal

    def _create(self, workspace: Workspace, by: User, *, name: str, scopes: list[str], days: int, **_: Any) -> None:
        text = actions.create_token(workspace, name=name, scopes=scopes, days=days, by=by, now=timezone.now())[1]
        self.stderr.write("The token, which is shown this once:")
        self.stdout.write(text)

    def _list(self, workspace: Workspace, by: User, **_: Any) -> None:
        for token in ApiToken.objects.filter(workspace=workspace).order_by("created_at"):
            ended = token.revoked_at and f"revoked {token.revoked_at:%Y-%m-%d}"
            until = ended or f"until {token.expires_at:%Y-%m-%d}"
            self.stdout.write(f"{token.prefix}  {until}  {' '.join(token.scopes)}  {token.name}")

    def _revoke(self, workspace: Workspace, by: User, *, name: str, **_: Any) -> None:
        found = list(ApiToken.objects.filter(workspace=workspace, prefix=name))
        if len(found) != 1:
            raise CommandError(f"{len(found)} tokens of {workspace.slug} begin with “{name}”. Nothing was changed.")
        actions.revoke_token(found[0], by=by, now=timezone.now())
        self.stdout.write(f"Revoked {found[0]}.")
