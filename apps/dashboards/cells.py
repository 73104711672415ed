"""What one cell of the matrix says: pure, from a row of `querysets.cells`. Exceptions come first."""

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from textwrap import shorten
from typing import Any, cast
from uuid import UUID

from django.urls import reverse

from apps.approvals.enums import PromotionState
from apps.core import durations
from apps.dashboards.querysets import Raw
from apps.deployments.enums import OPEN, DeploymentKind, DeploymentState
from apps.environments.enums import Health
from apps.policies.enums import Outcome

UNSUCCESSFUL = {
    DeploymentState.FAILED: "Failed",
    DeploymentState.ABANDONED: "Abandoned",
    DeploymentState.ERRORED: "Did not run",
}
EXCEPTIONS = frozenset({"run", "wait", "warn", "bad", "idle"})
# A storm of alerts is one cell all the same, and so is a long story of drift.
DETAIL_SHOWN = 80
# What a promotion waits for, by the gate that keeps it.
WAITS = {
    "approvals": ("wait", "user-check", "{} needs approval"),
    "window": ("fine", "calendar-clock", "{} waits for the window"),
    "freeze": ("fine", "snowflake", "{} waits for the freeze"),
}


@dataclass(frozen=True)
class Cell:
    """`kind` is the class of the cell, `tone` and `icon` those of its word; `number` names the attempt it links to."""

    id: str
    kind: str
    environment: str
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


def cell_id(lane_id: UUID) -> str:
    """Return the short id of a lane's cell: a matrix of 600 repeats it 600 times."""
    return "c" + base64.urlsafe_b64encode(lane_id.bytes).decode().rstrip("=")


def nothing(environment: str) -> Cell:
    return Cell("", "na", environment, word="Not here")


def cell_of(raw: Raw, *, before: str = "", ahead_of: int | None = None, now: datetime) -> Cell:
    """Return the cell of a lane. `before` names the environment to its left, `ahead_of` counts what is newer there."""
    cell = _attempted(raw) or _stood(raw)
    notes = [cell.more, _behind(raw, before, ahead_of) if cell.kind in ("fine", "wait") else ""]
    notes += ["Alert" if raw.alerts and cell.word != "Alert" else ""]
    notes += ["Watched closely" if raw.is_watched else ""]
    notes += ["Frozen" if raw.is_frozen else "", "On hold" if raw.hold and cell.word != "On hold" else ""]
    return replace(cell, more=" · ".join(note for note in notes if note), age=_age(cell.at, now))


def _cell(raw: Raw, kind: str, *, tone: str = "", **said: Any) -> Cell:
    """A cell of what stands there, unless `said` says otherwise."""
    stands: dict[str, Any] = {"version": raw.version or "", "at": raw.since}
    return Cell(
        cell_id(cast(UUID, raw.lane_id)),
        kind,
        raw.environment,
        service=raw.slug,
        tone=tone or kind,
        **{**stands, **said},
    )


def _attempted(raw: Raw) -> Cell | None:
    if raw.attempt_number is None:
        return None
    state = DeploymentState(raw.attempt_state)
    attempt: dict[str, Any] = {"version": raw.attempt_version, "at": raw.attempt_at, "number": raw.attempt_number}
    if state in OPEN:
        done, total = raw.done or 0, raw.total or 0
        more = "" if total or not raw.version else f"{raw.version} is live"
        kind = "bad" if raw.is_called_for else "warn" if state == DeploymentState.UNKNOWN else "run"
        return _cell(raw, kind, word=_step(raw, state, done, total), done=done, total=total, more=more, **attempt)
    if state in UNSUCCESSFUL and raw.version != raw.attempt_version:
        kind = "warn" if state == DeploymentState.ERRORED else "bad"
        more = f"{raw.version} stays live" if raw.version else "Nothing runs here"
        return _cell(raw, kind, word=UNSUCCESSFUL[state], more=more, **attempt)
    return None


def _step(raw: Raw, state: DeploymentState, done: int, total: int) -> str:
    if raw.is_called_for:
        return "Needs a person"
    if state in (DeploymentState.QUEUED, DeploymentState.UNKNOWN, DeploymentState.CANCELLING) or not total:
        return state.label
    step = f"tep {min(done + 1, total)} of {total}"
    return f"Rolling back, s{step}" if raw.attempt_kind == DeploymentKind.ROLLBACK else f"S{step}"


def _stood(raw: Raw) -> Cell:
    if raw.version and (cell := _seen(raw)):
        return cell
    if raw.rolled_back_from:
        return _cell(raw, "warn", icon="undo-2", word="Rolled back", more=f"from {raw.rolled_back_from}")
    if raw.hold:
        return _cell(raw, "warn", icon="hand", word="On hold", more=_short(raw.hold))
    if raw.waiting_number is not None:
        return _waiting(raw)
    return _quiet(raw)


def _seen(raw: Raw) -> Cell | None:
    """What the portal sees of what runs, where that is no good news."""
    if raw.health == Health.FAULTY:
        return _cell(raw, "bad", word="Faulty", more=_short(raw.health_detail))
    if raw.drift:
        return _cell(raw, "warn", icon="git-compare", word="Drift", more=_short(raw.drift))
    if raw.alerts:
        return _cell(raw, "warn", icon="bell", word="Alert", more=_short(raw.alerts))
    return None


def _short(text: str) -> str:
    return shorten(text, DETAIL_SHOWN, placeholder=" …")


def _quiet(raw: Raw) -> Cell:
    if not raw.version:
        return replace(_cell(raw, "na", word="Nothing yet"), tone="")
    if raw.health == Health.UNKNOWN:
        return _cell(raw, "idle", icon="wifi-off", word=Health.UNKNOWN.label)
    return _cell(raw, "fine", tone="ok", word=Health.HEALTHY.label)


def _waiting(raw: Raw) -> Cell:
    stopped = [gate for gate in raw.waiting_gates or () if not Outcome(gate["outcome"]).lets_pass]
    failed = next((gate for gate in stopped if gate["outcome"] == Outcome.FAILED), None)
    if raw.waiting_state == PromotionState.READY:
        kind, icon, words = "run", "play", "{} is ready"
    elif failed is not None and failed["name"] not in WAITS:
        kind, icon, words = "warn", "octagon-alert", "{} is blocked"
    else:
        known = [gate["name"] for gate in stopped if gate["name"] in WAITS]
        kind, icon, words = WAITS[known[0]] if known else ("fine", "hourglass", "{} waits")
    tone = "idle" if kind == "fine" else kind
    word = words.format(raw.waiting_version)
    return _cell(raw, kind, tone=tone, icon=icon, word=word, promotion=raw.waiting_number)


def _behind(raw: Raw, before: str, ahead_of: int | None) -> str:
    if raw.newer is None or ahead_of is None or raw.newer <= ahead_of:
        return ""
    return f"{raw.newer - ahead_of} behind {before}"


def _age(at: datetime | None, now: datetime) -> str:
    return durations.in_words(max(now - at, timedelta(0)), parts=1) if at else ""
