"""The states of a stream of the trail: the only code that assigns one, and writes the event of it."""

from typing import Any

from apps.audit import actions as audit
from apps.compliance.enums import StreamState
from apps.compliance.models import AuditStream
from apps.core.verdict import Conflict

ALLOWED: dict[StreamState, frozenset[StreamState]] = {
    StreamState.ACTIVE: frozenset({StreamState.PAUSED, StreamState.REMOVED}),
    StreamState.PAUSED: frozenset({StreamState.ACTIVE, StreamState.REMOVED}),
    StreamState.REMOVED: frozenset(),
}

KINDS: dict[tuple[StreamState, StreamState], str] = {
    (StreamState.ACTIVE, StreamState.PAUSED): "stream.paused",
    (StreamState.PAUSED, StreamState.ACTIVE): "stream.resumed",
    (StreamState.ACTIVE, StreamState.REMOVED): "stream.removed",
    (StreamState.PAUSED, StreamState.REMOVED): "stream.removed",
}


class StaleStream(Conflict):
    code = "stale_stream"


def advance(stream: AuditStream, to: StreamState, *, by: object, summary: str, **values: Any) -> None:
    """This function will bring a locked stream to a state, set `values` with it, and write its event.

    Whoever sends for it loses the lease, so that what it has under way moves no cursor any more.
    Raises StaleStream: when its state does not lead there.
    """
    state = StreamState(stream.state)
    if to not in ALLOWED[state]:
        raise StaleStream(f"“{stream}” is {state.label.lower()}, so it can't be {to.label.lower()}.")
    changed = AuditStream.objects.filter(pk=stream.pk, state=state).update(
        state=to, lease_token=None, lease_until=None, **values
    )
    if not changed:
        raise StaleStream(f"“{stream}” has just changed.")
    stream.refresh_from_db()
    audit.record(
        KINDS[state, to], by=by, target=stream, summary=summary, before={"state": state.value},
        after={"state": to.value, "next_leaf": stream.next_leaf},
    )  # fmt: skip
