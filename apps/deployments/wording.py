"""Names of deployments and lanes in sentences."""

import re

from apps.deployments.enums import DeploymentKind
from apps.deployments.models import Deployment
from apps.environments.models import Lane

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
