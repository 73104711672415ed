"""The reviews that a workspace usually has, to be put on its calendar in one step and changed afterwards."""

from dataclasses import dataclass

from apps.compliance.enums import ReviewKind


@dataclass(frozen=True)
class Usual:
    kind: ReviewKind
    title: str
    asks: str
    interval_months: int
    owner_role: str


USUAL = (
    Usual(ReviewKind.METRICS, "Monthly review of metrics", "Look at deployments, failures, recovery and alerts of the "
          "month, and say what is to be changed.", 1, "ENGINEERING_MANAGER"),
    Usual(ReviewKind.POLICY, "Quarterly review of policies", "Read the policies in force, and say whether they still "
          "ask for the right things.", 3, "SECURITY"),
    Usual(ReviewKind.RECOVERY, "Quarterly test of disaster recovery", "Restore the portal and one service from "
          "nothing, and link the protocol.", 3, "DEVOPS"),
    Usual(ReviewKind.PENETRATION, "Quarterly penetration test", "Let what faces outside be tested, and link the "
          "report.", 3, "SECURITY"),
    Usual(ReviewKind.ACCESS, "Quarterly review of access", "Go through who can do what, and confirm or flag each row.",
          3, "SECURITY"),
    Usual(ReviewKind.AUDIT, "Annual audit", "Let the controls be examined by somebody from outside, and link the "
          "report.", 12, "AUDITOR"),
)  # fmt: skip
