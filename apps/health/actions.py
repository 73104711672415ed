from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import live
from apps.core.texts import many_lines, one_line
from apps.core.verdict import Conflict, Invalid
from apps.environments import actions as environment_actions
from apps.environments import permissions
from apps.environments.models import Lane
from apps.health import measures, reach
from apps.health import permissions as health_permissions
from apps.health.models import CheckQuota, EndpointCheck, HealthCheck, TrafficQueries
from apps.integrations.outbound_addresses import NotAllowed

LIMITS = {
    "expected_status": (100, 599), "days_left": (1, 365), "interval_seconds": (10, 86_400), "timeout_seconds": (1, 5),
}  # fmt: skip


class CheckInvalid(Invalid):
    code = "check_invalid"


class CheckExists(Conflict):
    code = "check_exists"
    next_step = "Choose another name."


class QueriesChanged(Conflict):
    code = "queries_changed"
    next_step = "What is asked now stands beside. Yours is still in the form: set it again if it should be that."


class QueriesInvalid(Invalid):
    code = "queries_invalid"


class LaneGone(Conflict):
    code = "lane_gone"


@transaction.atomic
def watch_closely(lane: Lane, *, until: datetime, reason: str, by: User | Actor, now: datetime) -> Lane:
    """This function will have a lane watched closely until then: all its checks are asked now, and then more often.

    What serves is rolled back for an alert until the end, and a release that soaks there meanwhile soaks longer
    (ADR 0072). Raises CloseWatchInvalid, LaneGone: as `environments.actions.set_close_watch`.
    """
    lane = environment_actions.set_close_watch(lane, until=until, reason=reason, by=by, now=now)
    HealthCheck.objects.filter(lane=lane, due_at__gt=Now()).update(due_at=Now())
    EndpointCheck.objects.filter(lane=lane, next_check_at__gt=Now()).update(next_check_at=Now())
    return lane


@transaction.atomic
def create_check(
    lane: Lane, *, name: str, url: str, rolls_back: bool = True, by: User | Actor, now: datetime, **numbers: int
) -> EndpointCheck:
    """This function will have an address asked for a service in an environment from now on.

    Units: `numbers` are those of LIMITS, bounds inclusive; `days_left` of a certificate.
    Raises CheckInvalid: the address may not be asked, or a number is out of bounds. CheckExists: the name is taken.
    LaneGone: the service is no longer there.
    """
    lane = Lane.objects.locked().select_related("environment__workspace", "service").get(pk=lane.pk)
    permissions.may_manage(by, lane.environment).require()
    if lane.removed_at is not None:
        raise LaneGone(f"{lane.service} is no longer in {lane.environment}.")
    check = EndpointCheck(workspace_id=lane.workspace_id, lane=lane, created_at=now, created_by=_person(by))
    check.rolls_back = rolls_back
    _fill(check, lane, name=name, url=url, numbers=numbers, now=now)
    CheckQuota.objects.get_or_create(
        workspace_id=lane.workspace_id, defaults={"minute_began_at": now, "claimed_at": now}
    )
    _record("check.created", f"Set the health check {check.name}", check, by=by, after=described(check))
    return check


@transaction.atomic
def change_check(
    check: EndpointCheck,
    *,
    name: str,
    url: str,
    rolls_back: bool = True,
    by: User | Actor,
    now: datetime,
    **numbers: int,
) -> EndpointCheck:
    """This function will ask something else from now on; what an asking under way finds is dropped.

    Raises CheckInvalid, CheckExists: as `create_check`.
    """
    check = _locked(check, by)
    before = described(check)
    check.leased_until, check.bad_in_a_row, check.rolls_back = None, 0, rolls_back
    check.seen_version, check.seen_at, check.tls = "", None, ""  # another address may answer
    _fill(check, check.lane, name=name, url=url, numbers=numbers, now=now)
    _record("check.changed", f"Changed the health check {check.name}", check, by=by, before=before,
            after=described(check))  # fmt: skip
    return check


@transaction.atomic
def remove_check(check: EndpointCheck, *, by: User | Actor, now: datetime) -> None:
    """This function will remove a check and its samples. What it was stays in the ledger."""
    check = _locked(check, by)
    _record("check.removed", f"Removed the health check {check.name}", check, by=by, before=described(check))
    check.delete()


@transaction.atomic
def set_queries(
    lane: Lane, *, of_service: bool, seen: str | None = None, by: User | Actor, now: datetime, **said: str
) -> TrafficQueries:
    """This function will say how it is learnt what users get of a lane, or of its service in the whole workspace.

    Shapes: `said` by the names of `measures.FIELDS`; an empty text inherits. Attempts under way keep what was agreed.
    `seen` is the `edition` that was changed; None changes whichever there is.
    Raises QueriesInvalid: a query has a placeholder that there is not. LaneGone: the service is no longer there.
    QueriesChanged: somebody else was quicker.
    """
    lane = Lane.objects.locked().select_related("environment__workspace", "service").get(pk=lane.pk)
    health_permissions.may_measure(by, lane, of_service=of_service).require()
    if lane.removed_at is not None:
        raise LaneGone(f"{lane.service} is no longer in {lane.environment}.")
    of = {"service_id": lane.service_id, "lane": None} if of_service else {"service": None, "lane_id": lane.pk}
    made, is_new = TrafficQueries.objects.get_or_create(
        workspace_id=lane.workspace_id, **of, defaults={"changed_at": now}
    )
    row = TrafficQueries.objects.locked().get(pk=made.pk)
    if seen is not None and seen != ("" if is_new else row.edition):
        raise QueriesChanged("Somebody else has changed these queries since you opened the page.")
    before = {name: getattr(row, name) for name in measures.FIELDS}
    for name in measures.FIELDS:
        setattr(row, name, _query(name, said.get(name, "")))
    row.changed_at = now
    row.save()
    where = f"all environments of {lane.environment.workspace}" if of_service else lane.environment.name
    audit.record(
        "queries.changed",
        by=by,
        target=lane.service if of_service else lane,
        workspace_id=lane.workspace_id,
        environment_id=None if of_service else lane.environment_id,
        service_id=lane.service_id,
        summary=f"Changed how what users of {lane.service} get is measured in {where}",
        before=before,
        after={name: getattr(row, name) for name in measures.FIELDS},
    )
    return row


def _query(name: str, text: str) -> str:
    text = many_lines(text, name=f"The query {name}", limit=2000)
    if problem := measures.problem_of(text):
        raise QueriesInvalid(f"{name}: {problem}")
    return text


def described(check: EndpointCheck) -> dict[str, object]:
    """This function will return what people set of a check, by the names of its fields."""
    return {name: getattr(check, name) for name in ("name", "url", "rolls_back", *LIMITS)}


def _locked(check: EndpointCheck, by: User | Actor) -> EndpointCheck:
    related = ("lane__environment__workspace", "lane__service")
    check = EndpointCheck.objects.locked().select_related(*related).get(pk=check.pk)
    permissions.may_manage(by, check.lane.environment).require()
    return check


def _fill(check: EndpointCheck, lane: Lane, *, name: str, url: str, numbers: dict[str, int], now: datetime) -> None:
    for field, value in numbers.items():
        least, most = LIMITS[field]
        if not least <= value <= most:
            raise CheckInvalid(f"{field.replace('_', ' ').capitalize()} is {value}; it may be {least} to {most}.")
        setattr(check, field, value)
    try:
        reach.judge(url, lane.environment.workspace.slug)
    except NotAllowed as error:
        raise CheckInvalid(str(error)) from error
    check.name, check.url = one_line(name, name="The name", limit=80), url
    check.next_check_at = now
    try:
        with transaction.atomic():
            check.save()
    except IntegrityError as error:
        raise CheckExists(f"{lane.service} in {lane.environment} has a check named {check.name} already.") from error


def _person(by: User | Actor) -> User | None:
    return by if isinstance(by, User) else None


def _record(kind: str, did: str, check: EndpointCheck, *, by: User | Actor, **change: dict[str, object]) -> None:
    lane = check.lane
    audit.record(
        kind,
        by=by,
        target=check,
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        summary=f"{did} of {lane.service} in {lane.environment}",
        before=change.get("before"),
        after=change.get("after"),
    )
    live.hint(check.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")
