"""What a service says of an attempt, in words that are the same for all of them."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class RemoteStep(StrEnum):
    CHECK = "CHECK"
    START = "START"
    FOLLOW = "FOLLOW"


class Phase(StrEnum):
    WANTED = "WANTED"  # written down there, not begun
    BUSY = "BUSY"  # the service is at work for somebody else
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    STOPPED = "STOPPED"  # because we asked for it


UNDER_WAY = (Phase.RUNNING, Phase.FAILED, Phase.STOPPED)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the service says of the newest attempt in a lane. `deployment` is empty for what is not of the portal."""

    deployment: str
    fence: int
    """The highest that the service has heard of."""
    phase: Phase
    detail: str
    healthy: bool = True
    hopeless: bool = False
    """Not only unhealthy still: the service holds it for broken."""
    run_fence: int = 0
    """Under which fence it was begun."""
    key: str = ""
    """How the service names what was begun, for `stop`."""

    def is_of(self, deployment_id: UUID) -> bool:
        return self.deployment == str(deployment_id)

    @property
    def is_good(self) -> bool:
        return self.phase is Phase.DONE and self.healthy


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds, all of them."""

    silence: float = 20.0
    """Nothing is asked of the service when the lease was not renewed for so long."""
    patience: float = 25.0
    """How long a step waits for another one of the lane, or for what the service does for somebody else."""
    appear: float = 60.0
    """How long what was begun may take until the service shows it."""
    ready: float = 600.0
    hopeless: float = 30.0
    """How long the service may hold it for broken, since that may be what was there before."""
    stop: float = 30.0
    poll: float = 2.0
