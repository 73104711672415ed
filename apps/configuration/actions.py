import re
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.configuration import permissions
from apps.configuration.difference import changed_keys
from apps.configuration.models import ConfigurationVersion
from apps.core import live
from apps.core.texts import many_lines, one_line
from apps.core.verdict import Conflict, Invalid
from apps.environments.models import Lane

MOST_VALUES = 200
VALUE_LIMIT = 4_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")


class ConfigurationInvalid(Invalid):
    code = "configuration_invalid"


class ConfigurationSame(Conflict):
    code = "configuration_same"
    next_step = "Change a value, or leave it as it is."


class LaneRemoved(Conflict):
    code = "lane_removed"


@transaction.atomic
def write_version(
    lane: Lane, *, values: Mapping[str, str], reason: str, by: User | Actor, now: datetime
) -> ConfigurationVersion:
    """This function will write the next configuration version of a lane; it has effect with the next deployment.

    Shapes: `values` maps names of environment variables (letters, digits, underscores) to text.
    Raises ConfigurationInvalid: a malformed name or value. Raises ConfigurationSame: nothing would change.
    """
    lane = Lane.objects.locked().select_related("environment", "service").get(pk=lane.pk)
    permissions.may_configure(by, lane).require()
    if lane.removed_at is not None:
        raise LaneRemoved(f"{lane.service} is no longer in {lane.environment}.")
    checked = _checked(values)
    reason = one_line(reason, name="The reason", limit=300)
    before = current_version(lane)
    if before is not None and before.values == checked:
        raise ConfigurationSame(f"Configuration version {before.number} has these very values.")
    version = ConfigurationVersion.objects.create(
        workspace_id=lane.workspace_id,
        lane=lane,
        number=before.number + 1 if before else 1,
        values=checked,
        reason=reason,
        created_at=now,
        created_by=by if isinstance(by, User) else None,
    )
    changed = changed_keys(before.values if before else {}, checked)
    audit.record(
        "configuration.written",
        by=by,
        target=version,
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        summary=f"Wrote configuration version {version.number} of {lane.service} in {lane.environment.name}",
        reason=reason,
        before={key.name: key.before for key in changed},
        after={key.name: f"{key.after} (another)" if key.after == key.before else key.after for key in changed},
    )
    live.hint(lane.workspace_id, f"lane:{lane.pk}")
    return version


def current_version(lane: Lane) -> ConfigurationVersion | None:
    """This function will return the newest configuration version of the lane, if there is one."""
    return ConfigurationVersion.objects.filter(lane=lane).order_by("-number").first()


def _checked(values: Mapping[str, str]) -> dict[str, str]:
    if len(values) > MOST_VALUES:
        raise ConfigurationInvalid(f"A configuration has at most {MOST_VALUES} values.")
    for name, value in values.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationInvalid(f"{str(name)[:40]!r} is not a name: letters, digits and underscores.")
        if not isinstance(value, str):
            raise ConfigurationInvalid(f"The value of {name} must be text.")
        many_lines(value, name=f"The value of {name}", limit=VALUE_LIMIT)
    return dict(sorted(values.items()))
