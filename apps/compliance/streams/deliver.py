"""Takes a batch to its receiver, by the one way out to addresses that people enter."""

import hashlib
import hmac
import ssl
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings

from apps.audit.notes import rfc3339
from apps.compliance.enums import StreamKind
from apps.compliance.models import AuditStream
from apps.compliance.streams import syslog, webhook
from apps.compliance.streams.entries import Entry
from apps.health.reach import policy_of
from apps.integrations import outbound
from apps.integrations import outbound_addresses as addresses
from apps.integrations.apart import run_apart
from apps.integrations.outbound import NoAnswer
from apps.integrations.outbound_addresses import Destination, NotAllowed, Policy

SYSLOG_PORT = 6514  # RFC 5425
# What a receiver answers when it understood the request and does not want what it holds.
OF_THE_CONTENT = frozenset({400, 413, 422})


class NotDelivered(Exception):
    """The receiver did not take the batch: it is sent again later. The text says why."""


class ContentRefused(NotDelivered):
    """The receiver took the request and refused what it holds."""


def deliver(stream: AuditStream, batch: Sequence[Entry], *, now: datetime) -> None:
    """This function will send a batch and return once the receiver has it. Not within a transaction.

    Raises NotDelivered: it must be sent again. Raises ContentRefused: and that will not help.
    """
    present = [entry for entry in batch if entry.canonical is not None]
    if not present:
        return
    try:
        if stream.kind == StreamKind.SYSLOG:
            _by_syslog(stream, present)
        else:
            _by_webhook(stream, present, now)
    except (NoAnswer, NotAllowed) as error:
        raise NotDelivered(str(error)) from error


def destination_of(kind: str, url: str) -> Destination:
    """This function will read the address of a receiver. Raises NotAllowed: with what is wrong with it."""
    if kind == StreamKind.SYSLOG and ":" not in url.removeprefix("tls://").rpartition("]")[2]:
        url = f"{url}:{SYSLOG_PORT}"
    return addresses.read(url, schemes=(StreamKind(kind).scheme,))


def reach_of(kind: str, workspace_slug: str) -> Policy:
    """This function will say what a stream of this workspace may reach: as its checks, and the port of syslog."""
    policy = policy_of(workspace_slug)
    return Policy(policy.ports | {SYSLOG_PORT}, policy.inside) if kind == StreamKind.SYSLOG else policy


def trust_of(ca_pem: str) -> ssl.SSLContext | None:
    """This function will make whose certificates a stream trusts: the system's where it names none.

    Raises ValueError: what it names is none.
    """
    if not ca_pem.strip():
        return None
    try:
        return ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError("The certificate authority is no certificate in PEM.") from error


def secret_of(stream: AuditStream) -> bytes:
    """This function will return what a webhook is signed with; derived, so kept nowhere."""
    return hmac.digest(settings.SECRET_KEY.encode(), f"audit-stream:{stream.pk}".encode(), hashlib.sha256)


def _by_syslog(stream: AuditStream, batch: Sequence[Entry]) -> None:
    outbound.hand_over_tls(
        destination_of(stream.kind, stream.url),
        reach_of(stream.kind, stream.workspace.slug),
        data=syslog.batch(batch, workspace_id=stream.workspace_id, host=urlsplit(settings.PORTAL_URL).hostname or "-"),
        seconds=settings.STREAM_PATIENCE.total_seconds(),
        trust=trust_of(stream.ca_pem),
    )


def _by_webhook(stream: AuditStream, batch: Sequence[Entry], now: datetime) -> None:
    content = webhook.body(batch, workspace_id=stream.workspace_id, moment=rfc3339(now))
    message_id = f"{stream.pk}.{batch[0].leaf_index}-{batch[-1].leaf_index}"
    answer = run_apart(
        outbound.post(
            destination_of(stream.kind, stream.url),
            reach_of(stream.kind, stream.workspace.slug),
            body=content,
            headers=webhook.headers(
                secret_of(stream), message_id=message_id, timestamp=int(now.timestamp()), content=content
            ),
            seconds=settings.STREAM_PATIENCE.total_seconds(),
            trust=trust_of(stream.ca_pem),
        )
    )
    if not 200 <= answer.status < 300:
        refused = ContentRefused if answer.status in OF_THE_CONTENT else NotDelivered
        raise refused(f"It answered {answer.status}.")
