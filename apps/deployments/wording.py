"""Names of deployments and lanes in sentences."""

import re
from collections.abc import Sequence

from apps.deployments.enums import DeploymentKind
from apps.deployments.models import Deployment
from apps.environments.models import Lane
from apps.releases.models import DataMigration, Release

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]+")


def plain(text: str, limit: int) -> str:
    """Return what a program said as one line that may be kept: no colours, no controls, not longer than `limit`."""
    line = _CONTROLS.sub(" ", _ESCAPES.sub("", text)).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def place(lane: Lane) -> str:
    return f"{lane.service} in {lane.environment}"


def subject(deployment: Deployment) -> str:
    """Return what an attempt does, such as "Radicale 3.2.0 to Production"; needs `with_subject`."""
    lane = deployment.lane
    way = "back in" if deployment.kind == DeploymentKind.ROLLBACK else "to"
    return f"{lane.service} {deployment.release.version} {way} {lane.environment}"


def withheld(release: Release, migrations: Sequence[DataMigration]) -> str:
    """Return why a release is not brought back by itself, and what a person can do."""
    told = (
        f"{release.version} is not brought back by itself: {_named(migrations)} is forward-only. What runs stays as it "
        "is. Restore the data as its procedure says and roll back, or deploy a newer release."
    )
    return plain(told, 300)


def data_left(migrations: Sequence[DataMigration]) -> str:
    """Return what a person has to do about the data after a rollback, or nothing."""
    return f"The data has not gone back: run the rollback procedure of {_named(migrations)}." if migrations else ""


def _named(migrations: Sequence[DataMigration]) -> str:
    names = [migration.name for migration in migrations]
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"
