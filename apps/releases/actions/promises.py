"""What an API description promises to stay, and until when: an end is announced six months ahead, or not at all."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core.verdict import Invalid
from apps.releases.contracts.notice import MONTHS, earliest_end
from apps.releases.models import ApiPromise, Release, Service
from apps.releases.reports.contract import Promised

NAMED = 5


class SunsetTooSoon(Invalid):
    code = "sunset_too_soon"
    next_step = "Nothing was kept. Correct the day (x-sunset), and send the description again."


def keep_promises(release: Release, promised: Sequence[Promised], *, by: User | Actor, now: datetime) -> None:
    """This function will keep which versions a service has and what is to end, within the transaction that keeps the
    description. What was announced before may end on that day or later.

    Raises SunsetTooSoon: something is to end in less than six months from now.
    """
    # The service's row orders what its descriptions announce.
    service = Service.objects.locked().get(pk=release.service_id)
    known = {promise.name: promise for promise in ApiPromise.objects.filter(service=service)}
    fresh, changed = [], []
    for each in promised:
        promise = known.get(each.name)
        if promise is None:
            promise = ApiPromise(
                workspace_id=service.workspace_id,
                service=service,
                name=each.name,
                is_version=each.is_version,
                since=now,
            )
            fresh.append(promise)
        day = date.fromisoformat(each.sunset) if each.sunset else None
        if day is not None and day != promise.sunset_date:
            _announce(promise, day, now=now)
            changed.append(promise)
    ApiPromise.objects.bulk_create(fresh)
    ApiPromise.objects.bulk_update([each for each in changed if each not in fresh], ["announced_at", "sunset_date"])
    if changed:
        _tell(service, changed, by=by)


def _announce(promise: ApiPromise, day: date, *, now: datetime) -> None:
    earliest, before = earliest_end(now.astimezone(UTC).date()), promise.sunset_date
    if before is not None and day > before:
        promise.sunset_date = day
        return
    if day < earliest:
        told = f", or on {before:%Y-%m-%d}, as it was announced" if before else ""
        raise SunsetTooSoon(
            f"{promise.name} is to end on {day:%Y-%m-%d}. Announced today, it ends on {earliest:%Y-%m-%d} at the "
            f"earliest ({MONTHS} months){told}."
        )
    promise.announced_at, promise.sunset_date = now, day


def _tell(service: Service, changed: Sequence[ApiPromise], *, by: User | Actor) -> None:
    names = ", ".join(f"{each} ({each.sunset_date})" for each in changed[:NAMED])
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    audit.record(
        "api_sunset.announced",
        by=by,
        target=service,
        service_id=service.pk,
        summary=f"Announced the end of {names}{more} of {service}",
        after={each.name: str(each.sunset_date) for each in changed},
    )
