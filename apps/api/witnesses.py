"""What a witness outside asks for and sends, with one token, of its workspace alone."""

from django.db import transaction

from apps.api.identities import require_export
from apps.api.problems import BodyUnreadable, FieldInvalid
from apps.audit import witnesses
from apps.workspaces.models import ApiToken


def newest_note(token: ApiToken) -> str:
    """This function will return the newest checkpoint as it was signed. Raises NoCheckpoint."""
    require_export(token)
    return witnesses.newest(token.workspace_id).note


def consistency(token: ApiToken, old: str, new: str) -> list[str]:
    """This function will prove that one signed tree grew from another. Raises FieldInvalid, TreeUnknown."""
    require_export(token)
    if not all(size.isascii() and size.isdigit() and len(size) < 19 for size in (old, new)):
        raise FieldInvalid("old and new are the sizes of two trees, as whole numbers.")
    return witnesses.consistency(token.workspace_id, int(old), int(new))


@transaction.atomic
def receive(token: ApiToken, body: bytes) -> bool:
    """This function will keep what a witness signed of a checkpoint; False when it was kept before.

    Raises CosignatureRefused, BodyUnreadable.
    """
    require_export(token)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BodyUnreadable("The body is not text in UTF-8.") from error
    return witnesses.keep(token.workspace_id, text) > 0
