"""What data an environment may hold, and for how long. Pure: words and moments in, words and moments out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.environments.enums import DataKind, Tier

# The constraint `refresh_kind_fits_tier` says the same. Nothing is brought into Production.
KINDS: Mapping[str, tuple[DataKind, ...]] = {
    Tier.LOCAL: (DataKind.SYNTHETIC,),
    Tier.DEV: (DataKind.SYNTHETIC,),
    Tier.QA: (DataKind.SYNTHETIC, DataKind.MASKED),
    Tier.STAGING: (DataKind.ANONYMISED,),
    Tier.PRODUCTION: (),
}
REFRESHED_WITHIN, KEPT_FOR = timedelta(days=7), timedelta(days=30)
# Of these it is asked that they are refreshed, and what is in them is kept no longer.
REFRESHED = (Tier.STAGING,)


@dataclass(frozen=True)
class DataState:
    """How the data of an environment stand. `at_fault_since` is when the worse of the two limits was passed."""

    refreshed_at: datetime | None
    due_at: datetime
    expires_at: datetime | None
    is_overdue: bool
    is_expired: bool

    @property
    def at_fault_since(self) -> datetime | None:
        if self.is_expired:
            return self.expires_at
        return self.due_at if self.is_overdue else None

    @property
    def word(self) -> str:
        return "Expired" if self.is_expired else "Overdue" if self.is_overdue else "In time"

    @property
    def sentence(self) -> str:
        """What is wrong, and what would satisfy it; empty where nothing is."""
        if self.is_expired:
            return (
                f"Its data set is older than {KEPT_FOR.days} days: remove it, bring a new one and record the refresh."
            )
        if self.is_overdue and self.refreshed_at:
            return f"Its data are to be refreshed every {REFRESHED_WITHIN.days} days: refresh them and record it."
        return "It never got a data set that is on record: bring one and record it." if self.is_overdue else ""


def data_state(tier: str, *, created_at: datetime, refreshed_at: datetime | None, now: datetime) -> DataState | None:
    """This function will say how the data of an environment stand; None where its tier asks for no refresh.

    Shapes: one that never got a data set counts from when it was made.
    """
    if tier not in REFRESHED:
        return None
    due_at = (refreshed_at or created_at) + REFRESHED_WITHIN
    expires_at = refreshed_at + KEPT_FOR if refreshed_at else None
    is_expired = expires_at is not None and expires_at <= now
    return DataState(refreshed_at, due_at, expires_at, is_overdue=due_at <= now, is_expired=is_expired)
