"""What data an environment may hold, and for how long, by the policy of its tier. Free of Django, as gates are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

SYNTHETIC, MASKED, ANONYMISED = BROUGHT = ("SYNTHETIC", "MASKED", "ANONYMISED")


@dataclass(frozen=True)
class DataRules:
    """What a tier asks of the data of its environments. Without `kinds`, some of BROUGHT, no data set is brought there.

    Units: days; None where it is not asked that they are refreshed, or that a data set goes.
    """

    kinds: tuple[str, ...] = ()
    refreshed_days: int | None = None
    kept_days: int | None = None


# What holds where the policy of a tier says nothing of data.
USUAL: Mapping[str, DataRules] = {
    "LOCAL": DataRules((SYNTHETIC,)),
    "DEV": DataRules((SYNTHETIC,)),
    "QA": DataRules((SYNTHETIC, MASKED)),
    "STAGING": DataRules((ANONYMISED,), refreshed_days=7, kept_days=30),
    "PRODUCTION": DataRules(),
}


@dataclass(frozen=True)
class DataState:
    """How the data of an environment stand. `due_at` and `expires_at` are None where nothing is asked, or held."""

    rules: DataRules
    refreshed_at: datetime | None
    is_held: bool
    due_at: datetime | None
    expires_at: datetime | None
    is_overdue: bool
    is_expired: bool

    @property
    def at_fault_since(self) -> datetime | None:
        """When the worse of the two limits was passed."""
        if self.is_expired:
            return self.expires_at
        return self.due_at if self.is_overdue else None

    @property
    def faults(self) -> tuple[str, ...]:
        found = ((self.is_overdue, "overdue"), (self.is_expired, "expired"))
        return tuple(name for is_so, name in found if is_so)

    @property
    def word(self) -> str:
        return "Expired" if self.is_expired else "Overdue" if self.is_overdue else "In time"

    @property
    def sentence(self) -> str:
        """What is wrong, and what would satisfy it; empty where nothing is."""
        if self.is_expired:
            return (
                f"Its data set is older than {days(self.rules.kept_days)}: remove it or bring a new one, and record it."
            )
        if not self.is_overdue:
            return ""
        if self.refreshed_at is None:
            return "It never got a data set that is on record: bring one and record it."
        if not self.is_held:
            return "Its data set was removed: bring a new one and record it."
        return f"Its data are to be refreshed every {days(self.rules.refreshed_days)}: refresh them and record it."


def data_state(
    rules: DataRules,
    *,
    created_at: datetime,
    refreshed_at: datetime | None,
    removed_at: datetime | None = None,
    now: datetime,
) -> DataState | None:
    """This function will say how the data of an environment stand; None where nothing is asked of them.

    Shapes: the newest refresh and the newest removal. One that never got a data set counts from when it was made.
    """
    if rules.refreshed_days is None and rules.kept_days is None:
        return None
    held = is_held(refreshed_at, removed_at)
    due_at = _after(refreshed_at or created_at, rules.refreshed_days)
    expires_at = _after(refreshed_at, rules.kept_days) if held else None
    return DataState(rules, refreshed_at, held, due_at, expires_at, _is_past(due_at, now), _is_past(expires_at, now))


def is_held(refreshed_at: datetime | None, removed_at: datetime | None) -> bool:
    """This function will say whether there is a data set, by the newest refresh and the newest removal."""
    return refreshed_at is not None and (removed_at is None or removed_at < refreshed_at)


def days(count: int | None) -> str:
    """This function will say a number of days."""
    return f"{count} day{'' if count == 1 else 's'}"


def _after(moment: datetime | None, count: int | None) -> datetime | None:
    return None if moment is None or count is None else moment + timedelta(days=count)


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now
