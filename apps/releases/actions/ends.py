"""When the life of a release line ends: a person announces it six months ahead, or takes it back."""

from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.core import live
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.releases import permissions
from apps.releases.contracts.notice import MONTHS, earliest_end
from apps.releases.models import EndOfLife, Service
from apps.releases.support import Line, lines_of


class EndTooSoon(Invalid):
    code = "end_too_soon"
    next_step = "Nothing was announced. Choose a later day."


class LineUnknown(Invalid):
    code = "line_unknown"
    next_step = "Nothing was announced. Choose a line that has a release."


class AlreadyAnnounced(Conflict):
    code = "end_already_announced"
    next_step = "To announce another day, withdraw that first."


class EndWithdrawn(Conflict):
    code = "end_withdrawn"


@transaction.atomic
def announce_end(service: Service, *, line: Line, ends_date: date, reason: str, by: User, now: datetime) -> EndOfLife:
    """This function will announce that a minor line of a service is not supported any more from a day on.

    Raises EndTooSoon: in less than six months. LineUnknown: it has no release. AlreadyAnnounced: it is to end already.
    """
    service = Service.objects.locked().get(pk=service.pk)
    permissions.may_announce_end(by, service).require()
    name, earliest = f"{line[0]}.{line[1]}", earliest_end(now.astimezone(UTC).date())
    if line not in lines_of([service.pk]).get(service.pk, ()):
        raise LineUnknown(f"{service} has no release {name}.")
    if ends_date < earliest:
        raise EndTooSoon(
            f"{service} {name} can't end on {ends_date:%Y-%m-%d}: announced today, it ends on {earliest:%Y-%m-%d} "
            f"at the earliest ({MONTHS} months)."
        )
    ends = EndOfLife.objects.standing().filter(service=service, major=line[0], minor=line[1])
    if there := ends.first():
        raise AlreadyAnnounced(f"{there} is announced to end on {there.ends_date:%Y-%m-%d} already.")
    end = EndOfLife.objects.create(
        workspace_id=service.workspace_id,
        service=service,
        major=line[0],
        minor=line[1],
        ends_date=ends_date,
        reason=one_line(reason, name="The reason", limit=300),
        announced_at=now,
        announced_by=by,
        is_published=service.is_published,
    )
    _tell(end, "end_of_life.announced", f"Announced that {end} ends on {ends_date:%Y-%m-%d}", by=by,
          reason=end.reason, after={"ends_date": f"{ends_date:%Y-%m-%d}"})  # fmt: skip
    return end


@transaction.atomic
def withdraw_end(end: EndOfLife, *, by: User, now: datetime) -> EndOfLife:
    """This function will take an announced end back: the line is supported as if it had never been announced.

    Raises EndWithdrawn: it was taken back before.
    """
    Service.objects.locked().get(pk=end.service_id)
    end = EndOfLife.objects.select_related("service").get(pk=end.pk)
    permissions.may_announce_end(by, end.service).require()
    if not EndOfLife.objects.standing().filter(pk=end.pk).update(withdrawn_at=now, withdrawn_by=by):
        raise EndWithdrawn(f"The end of {end} was withdrawn before.")
    end.withdrawn_at, end.withdrawn_by = now, by
    _tell(end, "end_of_life.withdrawn", f"Withdrew that {end} ends on {end.ends_date:%Y-%m-%d}", by=by,
          before={"ends_date": f"{end.ends_date:%Y-%m-%d}"}, after={"ends_date": None})  # fmt: skip
    return end


def _tell(end: EndOfLife, kind: str, summary: str, *, by: User, **change: Any) -> None:
    audit.record(kind, by=by, target=end.service, service_id=end.service_id, summary=summary, **change)
    live.hint(end.workspace_id, f"service:{end.service_id}")
