"""The command that makes tokens: who runs the portal names a person who may, and nothing else comes of it."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import AuditEvent
from apps.workspaces.actions import digest_of
from apps.workspaces.models import ApiToken
from tests.cast import Cast
from tests.world import World

pytestmark = pytest.mark.django_db


def _say(*words: str) -> str:
    out = StringIO()
    call_command("api_token", *words, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_a_token_is_made_shown_once_listed_and_revoked(world: World) -> None:
    text = _say("create", "Alertmanager", "--by", "devops", "--scope", "alerts:write", "--days", "30")
    with world.everything():
        token = ApiToken.objects.get(digest=digest_of(text))
        assert (token.name, token.scopes, (token.expires_at - token.created_at).days) == (
            "Alertmanager", ["alerts:write"], 30,
        )  # fmt: skip
    assert f"{text[:12]}  until" in _say("list", "--by", "devops")
    assert text not in _say("list", "--by", "devops")

    assert _say("revoke", text[:12], "--by", "devops") == "Revoked Alertmanager."

    with world.everything():
        token.refresh_from_db()
        assert token.revoked_by == world.cast.devops
        assert AuditEvent.objects.filter(kind="token.revoked", target_id=token.pk).count() == 1
    assert f"{text[:12]}  revoked" in _say("list", "--by", "devops")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("create", "CI", "--by", "nobody", "--scope", "release:create"), "no active account nobody"),
        (("create", "CI", "--by", "auditor", "--scope", "release:create"), "Nothing was changed"),
        (("create", "CI", "--by", "devops", "--scope", "alerts:write", "--days", "366"), "1 to 365 days"),
        (("create", "CI", "--by", "devops"), "at least one scope"),
        (
            ("create", "CI", "--by", "devops", "--workspace", "elsewhere", "--scope", "alerts:write"),
            "sees no workspace",
        ),
        (("revoke", "eaip_nothing", "--by", "devops"), "0 tokens of platform"),
        (("revoke", "--by", "devops"), "0 tokens of platform"),
    ],
)
def test_what_is_refused_changes_nothing(cast: Cast, world: World, words: tuple[str, ...], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        _say(*words)
    with world.everything():
        assert not ApiToken.objects.exists()
