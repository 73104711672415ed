from datetime import datetime

from django.db import IntegrityError, transaction

from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import hints
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.releases.enums import PushState
from apps.releases.models import PushedCommit, Release, Service

BUILD_TASK = "api.build_pushed"


class PushInvalid(Invalid):
    code = "push_invalid"


class PushKnown(Conflict):
    """The same delivery, or the same signed bytes under another name."""

    code = "push_known"
    next_step = "Nothing is to be done: it is being worked on, or was."


@transaction.atomic
def receive_push(
    service: Service,
    *,
    delivery_id: str,
    body_digest: str,
    ref: str,
    commit: str,
    pusher_label: str,
    author_email: str,
    committer_email: str,
    by: Actor,
    now: datetime,
) -> PushedCommit:
    """This function will write down a push whose signature was checked, and wake a worker to build it.

    Raises PushKnown: it came before. Raises TextInvalid: for a name that is none.
    """
    pushed = PushedCommit(
        workspace_id=service.workspace_id,
        service=service,
        delivery_id=one_line(delivery_id, name="The delivery's id", limit=64),
        body_digest=body_digest,
        ref=one_line(ref, name="The ref", limit=200),
        commit=commit,
        pusher_label=one_line(pusher_label, name="The name of who pushed", limit=150),
        author_email=one_line(author_email, name="The author's address", limit=254, required=False),
        committer_email=one_line(committer_email, name="The committer's address", limit=254, required=False),
        received_at=now,
    )
    try:
        with transaction.atomic():
            pushed.save(force_insert=True)
    except IntegrityError as error:
        raise PushKnown("This push was received already.") from error
    audit.record(
        "push.received",
        by=by,
        target=pushed,
        service_id=service.pk,
        summary=f"{pushed.pusher_label} pushed {pushed.name} of {service}",
        after={"ref": ref, "commit": commit, "delivery": delivery_id},
        target_details={"service": service.slug},
    )
    hints.wake(BUILD_TASK, pushed.pk)
    return pushed


@transaction.atomic
def settle_push(pushed: PushedCommit, *, release: Release, by: Actor, now: datetime) -> PushedCommit:
    """This function will note what a push became. Raises PushInvalid: it has become something already."""
    pushed = _received(pushed)
    pushed.state, pushed.release, pushed.settled_at = PushState.BUILT, release, now
    pushed.claimed_until = None
    pushed.save(update_fields=["state", "release", "settled_at", "claimed_until"])
    return pushed


@transaction.atomic
def refuse_push(pushed: PushedCommit, *, reason: str, by: Actor, now: datetime) -> PushedCommit:
    """This function will note why a push became no release. Raises PushInvalid: as `settle_push`."""
    pushed = _received(pushed)
    pushed.state, pushed.outcome, pushed.settled_at = PushState.REFUSED, reason[:300], now
    pushed.claimed_until = None
    pushed.save(update_fields=["state", "outcome", "settled_at", "claimed_until"])
    audit.record(
        "release.refused",
        by=by,
        target=pushed,
        service_id=pushed.service_id,
        summary=f"No release was made of {pushed.name} of {pushed.service}: {reason}",
        outcome="REFUSED",
        after={"ref": pushed.ref, "commit": pushed.commit},
        target_details={"service": pushed.service.slug},
    )
    return pushed


def _received(pushed: PushedCommit) -> PushedCommit:
    pushed = PushedCommit.objects.locked().select_related("service").get(pk=pushed.pk)
    if pushed.state != PushState.RECEIVED:
        raise PushInvalid("This push has been worked on already.")
    return pushed
