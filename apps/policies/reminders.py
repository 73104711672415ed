"""When people are told of an approval that nobody gives. Free of Django: it is asked with the moments as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_HOURS = 720


@dataclass(frozen=True)
class Reminders:
    """Hours count from when a role was first asked, or asked again since a decision became void.

    `escalate_to` is the role above, which is told that nobody answers; being told lets nobody approve.
    """

    remind_hours: int = 4
    escalate_hours: int = 24
    escalate_to: str = "ENGINEERING_MANAGER"

    def reminds(self, since: datetime, now: datetime) -> bool:
        return now >= since + timedelta(hours=self.remind_hours)

    def escalates(self, since: datetime, now: datetime) -> bool:
        return now >= since + timedelta(hours=self.escalate_hours)


def problem_of(row: Mapping[str, int]) -> str:
    """This function will say why hours that are whole numbers make no sense together; empty where they do."""
    usual = Reminders()
    remind, escalate = (row.get(name, getattr(usual, name)) for name in ("remind_hours", "escalate_hours"))
    return "" if escalate > remind else "escalate_hours: expected more than remind_hours."
