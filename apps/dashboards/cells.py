"""What one cell of the matrix says: pure, from the mapping that `querysets.with_cells` gives. Exceptions come first."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.urls import reverse

from apps.approvals.enums import PromotionState
from apps.core import durations
from apps.deployments.enums import OPEN, DeploymentKind, DeploymentState
from apps.environments.enums import Health
from apps.policies.enums import Outcome

Raw = Mapping[str, Any]

UNSUCCESSFUL = {
    DeploymentState.FAILED: "Failed",
    DeploymentState.ABANDONED: "Abandoned",
    DeploymentState.ERRORED: "Did not run",
}
# What a promotion waits for, by the gate that keeps it.
WAITS = {
    "approvals": ("wait", "user-check", "{} needs approval"),
    "window": ("fine", "calendar-clock", "{} waits for the window"),
    "freeze": ("fine", "snowflake", "{} waits for the freeze"),
}
EXCEPTIONS = frozenset({"run", "wait", "warn", "bad", "idle"})


@dataclass(frozen=True)
class Cell:
    """`kind` is the class of the cell, `tone` and `icon` those of its word; `number` names the attempt it links to."""

    id: str
    kind: str
    environment: str
    environment_id: str = ""
    version: str = ""
    at: datetime | None = None
    age: str = ""
    tone: str = ""
    icon: str = ""
    word: str = ""
    more: str = ""
    done: int = 0
    total: int = 0
    number: int | None = None
    promotion: int | None = None
    service: str = ""

    @property
    def moment(self) -> str:
        return self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if self.at else ""

    @property
    def url(self) -> str:
        """The page that explains the cell: the attempt, the promotion that waits, or else the release."""
        if self.number is not None:
            return _address("deployments:deployment-detail", self.number)
        if self.promotion is not None:
            return _address("approvals:promotion-detail", self.promotion)
        if self.version:
            return _address("releases:release-detail", self.service, self.version)
        return _address("releases:service-detail", self.service)

    @property
    def is_exception(self) -> bool:
        return self.kind in EXCEPTIONS


@lru_cache(maxsize=4096)
def _address(view: str, *args: str | int) -> str:
    return reverse(view, args=args)


def cell_id(lane_id: str) -> str:
    """Return the short id of a lane's cell: a matrix of 600 repeats it 600 times."""
    return "c" + base64.urlsafe_b64encode(UUID(lane_id).bytes).decode().rstrip("=")


def nothing(environment: str) -> Cell:
    return Cell("", "na", environment, word="Not here")


def cell_of(
    raw: Raw,
    *,
    service: str,
    environment: str,
    now: datetime,
    before: str = "",
    ahead_of: int | None = None,
    is_frozen: bool = False,
) -> Cell:
    """Return the cell of a lane. `before` names the environment to its left, `ahead_of` counts what is newer there."""
    cell = _attempted(raw, environment) or _stood(raw, environment)
    notes = [cell.more, _behind(raw, before, ahead_of) if cell.kind in ("fine", "wait") else ""]
    notes += ["Frozen" if is_frozen else "", "On hold" if raw["hold"] and cell.word != "On hold" else ""]
    more = " · ".join(note for note in notes if note)
    return replace(cell, service=service, more=more, age=_age(cell.at, now))


def _attempted(raw: Raw, environment: str) -> Cell | None:
    attempt = raw["attempt"]
    if not attempt:
        return None
    state = DeploymentState(attempt["state"])
    common = {"id": cell_id(raw["id"]), "environment": environment, "environment_id": raw["environment"],
              "version": attempt["version"], "at": _moment(attempt["at"]), "number": attempt["number"]}  # fmt: skip
    if state in OPEN:
        kind = "warn" if state == DeploymentState.UNKNOWN else "run"
        done, total = attempt["done"] or 0, attempt["total"] or 0
        more = "" if total or not raw["version"] else f"{raw['version']} is live"
        return Cell(
            kind=kind, tone=kind, word=_step(attempt, state, done, total), done=done, total=total, more=more, **common
        )
    if state in UNSUCCESSFUL and raw["version"] != attempt["version"]:
        kind = "warn" if state == DeploymentState.ERRORED else "bad"
        return Cell(kind=kind, tone=kind, word=UNSUCCESSFUL[state], more=_stays(raw["version"]), **common)
    return None


def _step(attempt: Raw, state: DeploymentState, done: int, total: int) -> str:
    if state in (DeploymentState.QUEUED, DeploymentState.UNKNOWN, DeploymentState.CANCELLING) or not total:
        return state.label
    step = f"tep {min(done + 1, total)} of {total}"
    return f"Rolling back, s{step}" if attempt["kind"] == DeploymentKind.ROLLBACK else f"S{step}"


def _stays(version: str | None) -> str:
    return f"{version} stays live" if version else "Nothing runs here"


def _stood(raw: Raw, environment: str) -> Cell:
    common = {"id": cell_id(raw["id"]), "environment": environment, "environment_id": raw["environment"],
              "version": raw["version"] or "", "at": _moment(raw["since"])}  # fmt: skip
    if raw["version"] and raw["health"] == Health.FAULTY:
        return Cell(kind="bad", tone="bad", word="Faulty", more=raw["health_detail"], **common)
    if raw["rolled_back_from"]:
        more = f"from {raw['rolled_back_from']}"
        return Cell(kind="warn", tone="warn", icon="undo-2", word="Rolled back", more=more, **common)
    if raw["hold"]:
        return Cell(kind="warn", tone="warn", icon="hand", word="On hold", more=raw["hold"], **common)
    if raw["waiting"]:
        return _waiting(raw["waiting"], common)
    return _quiet(raw, common)


def _quiet(raw: Raw, common: dict[str, Any]) -> Cell:
    if not raw["version"]:
        return Cell(kind="na", word="Nothing yet", **common)
    if raw["health"] == Health.UNKNOWN:
        return Cell(kind="idle", tone="idle", icon="wifi-off", word=Health.UNKNOWN.label, **common)
    return Cell(kind="fine", tone="ok", word=Health.HEALTHY.label, **common)


def _waiting(promotion: Raw, common: dict[str, Any]) -> Cell:
    stopped = [gate for gate in promotion["gates"] if not Outcome(gate["outcome"]).lets_pass]
    failed = next((gate for gate in stopped if gate["outcome"] == Outcome.FAILED), None)
    name = promotion["version"]
    if promotion["state"] == PromotionState.READY:
        kind, icon, words = "run", "play", "{} is ready"
    elif failed is not None and failed["name"] not in WAITS:
        kind, icon, words = "warn", "octagon-alert", "{} is blocked"
    else:
        known = [gate["name"] for gate in stopped if gate["name"] in WAITS]
        kind, icon, words = WAITS[known[0]] if known else ("fine", "hourglass", "{} waits")
    tone = "idle" if kind == "fine" else kind
    return Cell(kind=kind, tone=tone, icon=icon, word=words.format(name), promotion=promotion["number"], **common)


def _behind(raw: Raw, before: str, ahead_of: int | None) -> str:
    newer = raw["newer"] if raw["version"] else None
    if newer is None or ahead_of is None or newer <= ahead_of:
        return ""
    return f"{newer - ahead_of} behind {before}"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _age(at: datetime | None, now: datetime) -> str:
    return durations.in_words(max(now - at, timedelta(0)), parts=1) if at else ""
