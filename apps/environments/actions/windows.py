from collections.abc import Iterable
from datetime import datetime, time
from zoneinfo import available_timezones

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import live
from apps.core.texts import one_line
from apps.core.verdict import Invalid
from apps.environments import permissions
from apps.environments.actions.standing import standing
from apps.environments.enums import WindowKind
from apps.environments.models import Environment, Window

WEEKDAYS = range(1, 8)


class WindowInvalid(Invalid):
    code = "window_invalid"


@transaction.atomic
def set_window(
    environment: Environment,
    *,
    kind: str,
    weekdays: Iterable[int],
    starts_at: time,
    ends_at: time,
    zone: str,
    label: str,
    by: User | Actor,
    now: datetime,
) -> Window:
    """This function will add a recurring span in which deployments to the environment may (or may not) start.

    Shapes: as `Window` says; `weekdays` are ISO numbers, an end that is not later than the start is the next day's.
    Raises WindowInvalid: no weekday or none such, an unknown kind or time zone.
    """
    environment = standing(environment)
    permissions.may_manage(by, environment).require()
    days = sorted(set(weekdays))
    if not days or any(day not in WEEKDAYS for day in days):
        raise WindowInvalid("Choose at least one weekday, from 1 (Monday) to 7 (Sunday).")
    if kind not in WindowKind.values:
        raise WindowInvalid(f"There is no kind of window {kind!r}.")
    if zone not in available_timezones():
        raise WindowInvalid(f"{zone!r} is not an IANA time zone, such as Europe/Berlin.")
    window = Window.objects.create(
        workspace_id=environment.workspace_id,
        environment=environment,
        kind=kind,
        weekdays=days,
        starts_at=starts_at.replace(tzinfo=None),
        ends_at=ends_at.replace(tzinfo=None),
        zone=zone,
        label=one_line(label, name="The label", limit=80),
    )
    audit.record(
        "window.set",
        by=by,
        target=window,
        environment_id=environment.pk,
        summary=f"Set the deployment window {window.label} of {environment.name}",
        after=_described(window),
    )
    live.hint(environment.workspace_id, f"environment:{environment.pk}")
    return window


@transaction.atomic
def remove_window(window: Window, *, by: User, now: datetime) -> None:
    """This function will remove a window. What it was stays in the ledger."""
    window = Window.objects.locked().select_related("environment").get(pk=window.pk)
    permissions.may_manage(by, window.environment).require()
    audit.record(
        "window.removed",
        by=by,
        target=window,
        environment_id=window.environment_id,
        summary=f"Removed the deployment window {window.label} of {window.environment.name}",
        before=_described(window),
    )
    live.hint(window.workspace_id, f"environment:{window.environment_id}")
    window.delete()


def _described(window: Window) -> dict[str, object]:
    names = ("kind", "weekdays", "starts_at", "ends_at", "zone", "label")
    return {name: getattr(window, name) for name in names}
