"""Streams of the audit trail to receivers elsewhere: set up, paused, set back to a time, removed."""

import base64
from datetime import datetime

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.compliance import permissions
from apps.compliance.enums import StreamState
from apps.compliance.models import AuditStream, StreamLetter
from apps.compliance.stream_transitions import advance
from apps.compliance.streams import entries
from apps.compliance.streams.deliver import destination_of, reach_of, secret_of, trust_of
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.integrations.outbound_addresses import NotAllowed, judge
from apps.workspaces.models import Workspace


class StreamExists(Conflict):
    code = "stream_exists"
    next_step = "Give it another name."


class StreamInvalid(Invalid):
    code = "stream_invalid"


class NothingRefused(Conflict):
    code = "nothing_refused"


@transaction.atomic
def create_stream(
    workspace: Workspace, *, kind: str, name: str, url: str, by: User, now: datetime, ca_pem: str = "",
    since: datetime | None = None,
) -> AuditStream:  # fmt: skip
    """This function will let a workspace's trail stream to a receiver: from now on, or from an earlier time.

    Raises Denied, StreamExists. Raises StreamInvalid: the address may not be reached, or the certificate is none.
    """
    permissions.may_manage_streams(by, workspace).require()
    _require_reachable(kind, url, ca_pem, workspace)
    size, server = entries.stands(workspace.pk)
    first = entries.first_since(workspace.pk, since) if since else size
    name = one_line(name, name="The name", limit=60)
    try:
        with transaction.atomic():
            stream: AuditStream = AuditStream.objects.create(
                workspace=workspace, kind=kind, name=name, url=url, ca_pem=ca_pem.strip(), next_leaf=first,
                server=server, created_at=now, created_by=by,
            )  # fmt: skip
    except IntegrityError as error:
        if "stream_name_once" not in str(error):
            raise
        raise StreamExists(f"A stream of {workspace} is called “{name}” already.") from error
    audit.record(
        "stream.created", by=by, target=stream, after={"kind": kind, "url": url, "next_leaf": first, "since": since},
        summary=f"Lets the audit trail stream to “{stream}” ({stream.get_kind_display()})",
    )  # fmt: skip
    return stream


@transaction.atomic
def pause_stream(stream: AuditStream, *, by: User) -> AuditStream:
    """This function will stop sending; what comes meanwhile is sent once it goes on. Raises StaleStream, Denied."""
    stream = _mine(stream, by)
    advance(stream, StreamState.PAUSED, by=by, summary=f"Paused “{stream}”")
    return stream


@transaction.atomic
def resume_stream(stream: AuditStream, *, by: User) -> AuditStream:
    """This function will go on where the stream was paused, at once. Raises StaleStream, Denied."""
    stream = _mine(stream, by)
    advance(stream, StreamState.ACTIVE, by=by, summary=f"Resumed “{stream}”", next_try_at=None)
    return stream


@transaction.atomic
def rewind_stream(stream: AuditStream, *, since: datetime, by: User) -> AuditStream:
    """This function will begin again from a time: the receiver gets entries twice, or is spared some if it is later.

    Raises StreamInvalid: it was removed. Raises Denied.
    """
    stream = _mine(stream, by)
    if stream.state == StreamState.REMOVED:
        raise StreamInvalid(f"“{stream}” was removed.", next_step="Set up a new one.")
    before, first = stream.next_leaf, entries.first_since(stream.workspace_id, since)
    # Whoever sends now asks for the cursor that it knew, so that what it has under way does not move this one.
    AuditStream.objects.filter(pk=stream.pk).update(
        next_leaf=first, lease_token=None, lease_until=None, next_try_at=None
    )
    stream.refresh_from_db()
    audit.record(
        "stream.rewound", by=by, target=stream, summary=f"“{stream}” begins again from {since:%Y-%m-%d %H:%M} UTC",
        before={"next_leaf": before, "since": None}, after={"next_leaf": first, "since": since},
    )  # fmt: skip
    return stream


@transaction.atomic
def remove_stream(stream: AuditStream, *, by: User, now: datetime) -> AuditStream:
    """This function will end a stream for good. Raises StaleStream, Denied."""
    stream = _mine(stream, by)
    advance(stream, StreamState.REMOVED, by=by, summary=f"Removed “{stream}”", ended_at=now, ended_by=by)
    return stream


@transaction.atomic
def replay_letters(stream: AuditStream, *, by: User) -> int:
    """This function will have every entry that the receiver refused sent again, once. Raises NothingRefused, Denied."""
    stream = _mine(stream, by)
    asked = StreamLetter.objects.filter(stream=stream, replayed_at=None, is_waiting=False).update(is_waiting=True)
    if not asked:
        raise NothingRefused("No refused entry waits for anybody.")
    audit.record(
        "stream.replay_asked", by=by, target=stream, after={"entries": asked},
        summary=f"Asked to send {asked} refused entr{'y' if asked == 1 else 'ies'} to “{stream}” again",
    )  # fmt: skip
    return asked


@transaction.atomic
def read_secret(stream: AuditStream, *, by: User) -> str:
    """This function will return what a webhook is signed with, as receivers are given it. Raises Denied."""
    stream = _mine(stream, by)
    audit.record("stream.secret_read", by=by, target=stream, summary=f"Read the secret that “{stream}” is signed with")
    return f"whsec_{base64.b64encode(secret_of(stream)).decode()}"


def _mine(stream: AuditStream, by: User) -> AuditStream:
    locked: AuditStream = AuditStream.objects.locked().select_related("workspace").get(pk=stream.pk)
    permissions.may_manage_streams(by, locked.workspace).require()
    return locked


def _require_reachable(kind: str, url: str, ca_pem: str, workspace: Workspace) -> None:
    try:
        judge(destination_of(kind, url), reach_of(kind, workspace.slug))
        trust_of(ca_pem)
    except (NotAllowed, ValueError) as error:
        raise StreamInvalid(str(error), next_step="Correct it and try again.") from error
