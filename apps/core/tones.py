"""The status vocabulary: six tones, each with its class, its icon, and nothing else. The word comes with the object."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tone:
    name: str
    icon: str
    spins: bool = False


OK = Tone("ok", "circle-check")
RUN = Tone("run", "loader-circle", spins=True)
WAIT = Tone("wait", "user-check")
WARN = Tone("warn", "triangle-alert")
BAD = Tone("bad", "circle-x")
IDLE = Tone("idle", "circle-dashed")
PLAIN = Tone("", "")

TONES = {tone.name: tone for tone in (OK, RUN, WAIT, WARN, BAD, IDLE, PLAIN)}

# A gate has more outcomes than there are tones, so that "pending" never looks like "failed".
GATES = {
    "PASSED": (Tone("ok", "circle-check"), "passed"),
    "FAILED": (Tone("bad", "circle-x"), "failed"),
    "WAITING": (Tone("wait", "user-check"), "waiting for a person"),
    "RUNNING": (Tone("run", "loader-circle", spins=True), "running"),
    "INCONCLUSIVE": (Tone("warn", "circle-question-mark"), "inconclusive"),
    "NOT_REQUIRED": (Tone("idle", "minus"), "not needed"),
    "WAIVED": (Tone("warn", "hand"), "waived"),
}
