"""What is kept of the trail, as people propose it."""

from typing import Any

from apps.accounts import actions as account_actions
from apps.accounts.models import User
from apps.audit.actors import SYSTEM
from apps.compliance import actions
from apps.compliance.cutting import path_of
from apps.compliance.models import Cut, LegalHold, Proposal
from apps.compliance.models.retention import latest_until
from tests.cast import NOW, make_person
from tests.world import World


def propose_retention(world: World, by: User | None = None, days: int = 500) -> Proposal:
    return actions.propose_retention(
        world.cast.platform, online_days=days, archive_years=6, reason="A secret reason",
        by=by or world.cast.security, now=NOW,
    )  # fmt: skip


def put_hold(world: World, **fields: Any) -> LegalHold:
    values = {"scope": "WORKSPACE", "reason": "A secret reason", "by": world.cast.security, "now": NOW, **fields}
    return actions.put_hold(world.cast.platform, **values)


def archived_cut(world: World) -> Cut:
    """Return a cut with an archive, as if a worker had written it."""
    name = f"platform-0-1-{world.cast.platform.pk}.zip"
    path_of(name).parent.mkdir(parents=True, exist_ok=True)
    path_of(name).write_bytes(b"PK")
    return Cut.objects.create(
        workspace=world.cast.platform, proposal=propose_retention(world), until=latest_until(NOW, 400), first_leaf=0,
        last_leaf=1, state="ARCHIVED", confirmed_at=NOW, archive=name, archive_sha256="0" * 64, archive_bytes=2,
        archive_until_date=NOW.date(),
    )  # fmt: skip


def somebody_who_left(world: World) -> User:
    person = make_person("somebody", "Somebody Who Left", (), world.cast.platform)
    return account_actions.close_account(person, reason="They left", by=SYSTEM)
