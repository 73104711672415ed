"""What the sweeper of every worker sees to: whoever is on call is told of incidents, at least once (ADR 0123).

What is told is how the incident stands, under its own id: to tell it again changes nothing. Who tells it takes the row
by a conditional update and moves it by another; who dies on the way leaves it to the next. Who finds on the way back
that the row was taken meanwhile was late: the service may have heard the older words last, so it is told anew.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models.functions import Coalesce
from django.urls import reverse

from apps.audit.actors import SYSTEM
from apps.audit.source import coming_from, task_source
from apps.core import live
from apps.core.clock import CLOCK, clock_in
from apps.core.crashpoints import crashpoint
from apps.core.retries import pause_after
from apps.incidents.actions.incidents import record
from apps.incidents.enums import TOLD, EntryKind, Severity
from apps.incidents.models import Call, Incident
from apps.integrations import outbound_addresses as addresses
from apps.integrations import pagerduty
from apps.integrations.pagerduty import Alert, NotTaken, Refused
from apps.workspaces.scope import whole_scope, workspace_scope

log = logging.getLogger(__name__)

# One worker tells so many before its next sweep; others tell the rest meanwhile.
AT_MOST = 50
# Longer than an answer may take.
LEASE = timedelta(seconds=30)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)
# Told in the trail after so many tries in a row.
TELL_AFTER = 3
# Of so many deployments, the newest, the on-call service gets links.
MOST_LINKS = 20

TAKE = """
UPDATE incidents_call call
SET tries = call.tries + 1, next_try_at = clock_timestamp() + make_interval(secs => %(lease)s)
FROM (
    SELECT due.id, workspace.slug, timeline.lines FROM incidents_call due
    JOIN workspaces_workspace workspace ON workspace.id = due.workspace_id AND workspace.slug = ANY (%(slugs)s)
    CROSS JOIN LATERAL (
        SELECT count(*) AS lines FROM incidents_entry WHERE incident_id = due.incident_id AND kind = ANY (%(kinds)s)
    ) timeline
    WHERE due.over_at IS NULL AND (due.next_try_at IS NULL OR due.next_try_at <= clock_timestamp())
        AND timeline.lines > GREATEST(due.told, due.refused)
    ORDER BY due.next_try_at NULLS FIRST LIMIT 1 FOR UPDATE OF due SKIP LOCKED
) taken
WHERE call.id = taken.id
RETURNING call.id, call.workspace_id, taken.slug, call.next_try_at, taken.lines
"""


@dataclass(frozen=True)
class Due:
    """A call that this worker holds by the moment `until`; there are so many `lines` to tell of its incident."""

    call_id: UUID
    workspace_id: UUID
    slug: str
    until: datetime
    lines: int


def see_to_calls() -> int:
    """This function will tell the on-call services what they have not heard yet, and return how often it tried."""
    count = 0
    while count < AT_MOST and (due := take()):
        count += 1
        try:
            with coming_from(task_source(call_id=due.call_id)):
                tell(due)
        except Exception:
            log.exception("call %s could not be told; it is due again in %d s", due.call_id, LEASE.total_seconds())
    return count


def take() -> Due | None:
    """This function will take one call that is due, for as long as LEASE; of two who ask, one gets it."""
    if not settings.PAGERDUTY:
        return None
    asked: dict[str, Any] = {
        "lease": LEASE.total_seconds(),
        "slugs": [*settings.PAGERDUTY],
        "kinds": [kind.value for kind in TOLD],
    }
    with whole_scope(), connection.cursor() as cursor:
        cursor.execute(TAKE, asked)
        row = cursor.fetchone()
    return Due(*row) if row else None


def tell(due: Due) -> None:
    """This function will tell how the incident of a call stands, and write down how that went."""
    with workspace_scope([due.workspace_id]):
        call = Call.objects.get(pk=due.call_id)
        incident = Incident.objects.with_subject().get(pk=call.incident_id)
        event = event_of(incident, is_known=call.opened_at is not None)
    telling = Telling(due, incident, event)
    try:
        networks = addresses.inside(filter(None, settings.OUTBOUND_INTERNAL.get(due.slug, "").split("+")))
        pagerduty.send(settings.PAGERDUTY[due.slug], event, inside=networks)
    except NotTaken as error:
        telling.failed(str(error)[:300], pause=timedelta(seconds=error.seconds))
    except Refused as error:
        telling.refused(str(error)[:300])
    else:
        crashpoint("call_sent")
        telling.taken()


def event_of(incident: Incident, *, is_known: bool) -> dict[str, Any]:
    """This function will say how an incident stands, as PagerDuty is told it.

    One that is over before it was told of is told of all the same, first that it was, then that it is over: as one that
    wakes nobody.
    """
    if is_known and not incident.is_open:
        return pagerduty.resolved(str(incident.pk))
    page = settings.PORTAL_URL + reverse("incidents:incident-detail", args=[incident.number])
    linked = incident.entries.filter(kind=EntryKind.DEPLOYMENT).select_related("deployment")[:MOST_LINKS]
    deployments = [
        (settings.PORTAL_URL + reverse("deployments:deployment-detail", args=[entry.deployment.number]), entry.text)
        for entry in linked
        if entry.deployment
    ]
    place, service = incident.environment, incident.service
    details = {
        "Severity": incident.get_severity_display(),
        "State": incident.label,
        "Environment": place.name if place else "No single one",
        "Service": service.name if service else "No single one",
        "Deployments": [text for _address, text in deployments],
    }
    alert = Alert(
        dedup_key=str(incident.pk),
        summary=f"{incident.severity} · {incident.title} (incident {incident})",
        source=f"{incident.workspace.slug}/{place.slug}" if place else incident.workspace.slug,
        severity=Severity(incident.severity).urgency if incident.is_open else "info",
        at=incident.declared_at,
        component=service.slug if service else "",
        details=details,
        client_url=page,
        links=[(page, f"Incident {incident}"), *deployments],
    )
    return pagerduty.triggered(alert)


class Telling:
    """What came of one event: each moves the call only while this worker still holds it."""

    def __init__(self, due: Due, incident: Incident, event: Mapping[str, Any]) -> None:
        self.due, self.incident, self.event = due, incident, event

    def taken(self) -> None:
        is_end = self.event["event_action"] == "resolve"
        # Of one that is over, the beginning was told: the line that ended it is still to be told.
        told = self.due.lines if is_end or self.incident.is_open else self.due.lines - 1
        values = {
            "told": told, "refused": 0, "opened_at": Coalesce("opened_at", CLOCK), "told_at": CLOCK,
            "tries": 0, "failing_since": None, "detail": "", "next_try_at": None,
            **({"over_at": CLOCK} if is_end else {}),
        }  # fmt: skip
        with workspace_scope([self.due.workspace_id]):
            call = Call.objects.locked().get(pk=self.due.call_id)
            if self._moved(**values):
                what = f"that incident {self.incident} is over" if is_end else f"of incident {self.incident}"
                self._record("incident.called", f"Told PagerDuty {what}", lines=told)
            else:
                log.warning("incident %s was told late, after another worker took it: it is told anew", self.incident)
                Call.objects.filter(pk=call.pk).update(told=0, over_at=None, next_try_at=None)

    def failed(self, detail: str, *, pause: timedelta) -> None:
        with workspace_scope([self.due.workspace_id]):
            call = Call.objects.locked().get(pk=self.due.call_id)
            pause = max(pause, pause_after(call.tries, first=FIRST_PAUSE, longest=LONGEST_PAUSE))
            since = Coalesce("failing_since", CLOCK)
            if not self._moved(failing_since=since, detail=detail, next_try_at=clock_in(pause)):
                return
            live.hint(self.due.workspace_id, f"incident:{self.incident.pk}")
            if call.tries == TELL_AFTER:
                did = f"PagerDuty can't be told of incident {self.incident}"
                self._record("incident.call_failing", did, outcome="FAILED", reason=detail, lines=call.told)

    def refused(self, detail: str) -> None:
        with workspace_scope([self.due.workspace_id]):
            call = Call.objects.locked().get(pk=self.due.call_id)
            values = {"refused": self.due.lines, "failing_since": CLOCK, "detail": detail}
            if self._moved(**values, tries=0, next_try_at=None):
                did = f"PagerDuty refused to hear of incident {self.incident}"
                self._record("incident.call_refused", did, outcome="REFUSED", reason=detail, lines=call.told)

    def _moved(self, **values: Any) -> bool:
        return bool(Call.objects.filter(pk=self.due.call_id, next_try_at=self.due.until).update(**values))

    def _record(self, kind: str, did: str, *, lines: int, **more: str) -> None:
        after = {"event": self.event["event_action"], "lines": lines}
        record(self.incident, kind, did, by=SYSTEM, after=after, **more)
