"""A person's own calendar reads windows and freezes by an address with a secret in it (ADR 0085)."""

import secrets
from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.core.verdict import Conflict
from apps.environments.models import CalendarFeed
from apps.workspaces.actions import digest_of


class FeedEnded(Conflict):
    code = "calendar_feed_ended"


@transaction.atomic
def open_feed(*, by: User, now: datetime) -> tuple[CalendarFeed, str]:
    """This function will make a person's address and return it with its secret, which nobody can read again.

    The address that the person had ends: there is one at most.
    """
    User.objects.select_for_update().only("pk").get(pk=by.pk)
    replaced = CalendarFeed.objects.filter(user=by, ended_at=None).update(ended_at=now)
    text = secrets.token_urlsafe(32)
    feed = CalendarFeed.objects.create(user=by, digest=digest_of(text), opened_at=now)
    summary = f"{by} made an address for their calendar" + (", instead of the one before" if replaced else "")
    audit.record(
        "calendar_feed.opened", by=by, target=feed, summary=summary, after={"opened_at": now, "ended_at": None}
    )
    return feed, text


@transaction.atomic
def end_feed(*, by: User, now: datetime) -> None:
    """This function will end a person's address at once.

    Raises FeedEnded: there is none.
    """
    feed = CalendarFeed.objects.select_for_update().filter(user=by, ended_at=None).first()
    if feed is None:
        raise FeedEnded("Your calendar has no address here, or no longer.")
    CalendarFeed.objects.filter(pk=feed.pk).update(ended_at=now)
    audit.record("calendar_feed.ended", by=by, target=feed, summary=f"{by} ended the address for their calendar",
                 before={"ended_at": None}, after={"ended_at": now})  # fmt: skip


def reader_of(text: str) -> User | None:
    """This function will say whose calendar reads by this secret; None where it is no address, or no longer."""
    found = CalendarFeed.objects.select_related("user").filter(digest=digest_of(text), ended_at=None)
    feed = found.filter(user__is_active=True).first()
    return feed.user if feed else None
