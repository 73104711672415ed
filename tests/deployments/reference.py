"""What a lane's deployments may come to: a small model in plain Python, held against the engine by the state machine.

It knows nothing of leases, fences or steps: what a person asked, what a release does, how often an attempt was lost.
"""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from apps.deployments.enums import DeploymentState as S

Nature = Literal["good", "unready", "sick", "buggy", "untouched"]
# What the file target does with a release of each nature (`file_target.FileTarget`).
BEHAVIOUR: dict[Nature, dict[str, str]] = {
    "good": {},
    "unready": {"CHECK_GREEN": "fail"},
    "sick": {"health": "bad"},
    "buggy": {"START_GREEN": "bug"},
    "untouched": {"INSTALL": "untouched"},
}
ATTEMPTS = 2  # an outcome is lost so often before the engine gives up


@dataclass
class Asked:
    """One deployment, as the people outside know it."""

    id: UUID
    version: str
    nature: Nature
    is_rollback: bool = False
    losses: int = 0
    is_cancelled: bool = False
    is_abandoned: bool = False
    ended: str = ""

    def verdicts(self) -> set[str]:
        """Return how it may end."""
        found = {S.ABANDONED.value} if self.is_abandoned else set()
        match self.nature:
            case "good":
                found.add(S.SUCCEEDED)
            case "unready" | "sick":
                found.add(S.FAILED)
            case "buggy" | "untouched":
                found.add(S.ERRORED)
        if self.losses >= ATTEMPTS:
            found.add(S.FAILED if self.is_rollback else S.ERRORED)
        if self.is_cancelled:
            found |= {S.CANCELLED, S.FAILED}
        return found


@dataclass
class LaneModel:
    deployments: dict[UUID, Asked] = field(default_factory=dict)
    serves: str = ""
    """The version that was proved last."""
    before: list[str] = field(default_factory=list)
    is_adrift: bool = False
    """Nobody vouches for what the target serves: a rollback failed, or a person gave up finding out."""

    def add(self, asked: Asked) -> None:
        self.deployments[asked.id] = asked

    def end(self, asked: Asked, state: str) -> None:
        """Take over how a deployment ended; it must be one of the ways that it may."""
        assert state in asked.verdicts(), f"{asked} ended as {state}"
        asked.ended = state
        if state == S.SUCCEEDED:
            self.serves, self.is_adrift = asked.version, False
        elif state == S.ABANDONED or (state == S.FAILED and asked.is_rollback):
            self.is_adrift = True
