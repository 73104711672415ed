"""Closed sets of words; importable without Django set up, since gates are pure."""

from enum import StrEnum


class Outcome(StrEnum):
    """What a gate says. WAITING is for a person or a clock; FAILED is for a fact that must change."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_REQUIRED = "NOT_REQUIRED"
    WAIVED = "WAIVED"

    @property
    def lets_pass(self) -> bool:
        return self in {Outcome.PASSED, Outcome.NOT_REQUIRED, Outcome.WAIVED}

    @property
    def label(self) -> str:
        return _LABELS[self][0]

    @property
    def tone(self) -> str:
        return _LABELS[self][1]


_LABELS: dict[Outcome, tuple[str, str]] = {
    Outcome.PASSED: ("Passed", "ok"),
    Outcome.FAILED: ("Failed", "bad"),
    Outcome.WAITING: ("Waiting", "wait"),
    Outcome.RUNNING: ("Running", "run"),
    Outcome.INCONCLUSIVE: ("Inconclusive", "warn"),
    Outcome.NOT_REQUIRED: ("Not needed", "idle"),
    Outcome.WAIVED: ("Waived", "warn"),
}


class Standing(StrEnum):
    """Whether an environment is what its tier's policy asks."""

    MET = "MET"
    NOT_MET = "NOT_MET"
    UNKNOWN = "UNKNOWN"

    @property
    def label(self) -> str:
        return {"MET": "Met", "NOT_MET": "Not met", "UNKNOWN": "Unknown"}[self.value]

    @property
    def tone(self) -> str:
        return {"MET": "ok", "NOT_MET": "bad", "UNKNOWN": "idle"}[self.value]


class ProposalState(StrEnum):
    """A proposed policy waits until somebody else puts it in force, or it is turned down or taken back."""

    OPEN = "OPEN"
    ACTIVATED = "ACTIVATED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"

    @property
    def label(self) -> str:
        return {"OPEN": "Waits for review", "ACTIVATED": "Came into force"}.get(self.value, self.value.capitalize())

    @property
    def tone(self) -> str:
        return {"OPEN": "wait", "ACTIVATED": "ok", "REJECTED": "bad", "WITHDRAWN": "idle"}[self.value]
