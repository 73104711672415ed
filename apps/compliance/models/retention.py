from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from apps.compliance.enums import CutState, HoldScope, LegalBasis, Wish, WishState
from apps.compliance.querysets import CutQuerySet, ErasureQuerySet, LegalHoldQuerySet
from apps.environments.models import all_or_none, person
from apps.workspaces.models import TenantModel

# An entry stays online for a year at least, whatever a workspace decides (PCI DSS 10.5.1).
LEAST_DAYS = 365
USUAL_DAYS, USUAL_ARCHIVE_YEARS = 400, 7


class Proposal(TenantModel):
    """Something that takes two people: one proposes it, another confirms it or turns it down, once (ADR 0104).

    `terms` by `wish`: RETENTION {"online_days", "archive_years"}; CUT {"until"}; LIFT {"hold"}; ERASURE {"person"}.
    """

    wish = models.CharField(max_length=9, choices=Wish)
    terms = models.JSONField()
    legal_basis = models.CharField(max_length=13, choices=LegalBasis, blank=True)
    reason = models.CharField(max_length=300)
    proposed_at = models.DateTimeField()
    proposed_by = person()
    state = models.CharField(max_length=9, choices=WishState, default=WishState.OPEN)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = person(null=True, blank=True)
    comment = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-proposed_at", "-pk"]
        indexes = [models.Index(name="wish_by_age", fields=["workspace", "-proposed_at", "-id"])]
        constraints = [
            models.CheckConstraint(name="wish_known", condition=Q(wish__in=Wish.values)),
            models.CheckConstraint(name="wish_state_known", condition=Q(state__in=WishState.values)),
            models.CheckConstraint(
                name="wish_decided_whole",
                condition=Q(state=WishState.OPEN, decided_at=None, decided_by=None)
                | ~Q(state=WishState.OPEN) & Q(decided_at__isnull=False, decided_by__isnull=False),
            ),
            models.CheckConstraint(
                name="wish_confirmed_by_another",
                condition=~Q(state=WishState.CONFIRMED) | ~Q(decided_by=F("proposed_by")),
            ),
        ]

    def __str__(self) -> str:
        return self.label.lower()

    @property
    def label(self) -> str:
        return Wish(self.wish).label

    @property
    def state_label(self) -> str:
        return WishState(self.state).label

    @property
    def tone(self) -> str:
        return WishState(self.state).tone


class Retention(TenantModel):
    """How long entries of a workspace stay online, and their archives after that. Insert-only: the newest counts."""

    online_days = models.PositiveSmallIntegerField()
    archive_years = models.PositiveSmallIntegerField()
    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="retention")
    since = models.DateTimeField()

    class Meta:
        ordering = ["-since"]
        constraints = [
            models.CheckConstraint(name="retention_a_year", condition=Q(online_days__gte=LEAST_DAYS)),
            models.CheckConstraint(name="retention_archive", condition=Q(archive_years__gte=1, archive_years__lte=30)),
        ]

    def __str__(self) -> str:
        return f"{self.online_days} days online, archives {self.archive_years} years"


class LegalHold(TenantModel):
    """Entries that must not go, whatever a policy says: while one stands, the database refuses to cut or to erase.

    `since` (inclusive) and `until` (exclusive) narrow it to entries recorded between them.
    """

    scope = models.CharField(max_length=9, choices=HoldScope)
    target_type = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    actor_id = models.CharField(max_length=64, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300)
    put_at = models.DateTimeField()
    put_by = person()
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_with = models.OneToOneField(Proposal, null=True, blank=True, on_delete=models.PROTECT, related_name="lifted")

    objects: ClassVar[Any] = LegalHoldQuerySet.as_manager()

    class Meta:
        ordering = ["-put_at", "-pk"]
        indexes = [models.Index(name="legal_hold_stands", fields=["workspace"], condition=Q(lifted_at=None))]
        constraints = [
            models.CheckConstraint(
                name="legal_hold_of_something",
                condition=Q(scope=HoldScope.WORKSPACE, target_type="", target_id="", actor_id="")
                | Q(scope=HoldScope.OBJECT, actor_id="") & ~Q(target_type="") & ~Q(target_id="")
                | Q(scope=HoldScope.ACTOR, target_type="", target_id="") & ~Q(actor_id=""),
            ),
            models.CheckConstraint(
                name="legal_hold_has_a_span", condition=Q(since=None) | Q(until=None) | Q(until__gt=F("since"))
            ),
            all_or_none("legal_hold_lifted_whole", "lifted_at", "lifted_with"),
        ]

    def __str__(self) -> str:
        return self.what

    @property
    def what(self) -> str:
        """What it covers, in words."""
        what = {
            HoldScope.WORKSPACE: "everything in the workspace",
            HoldScope.OBJECT: f"the history of {self.target_type} {self.target_id}",
            HoldScope.ACTOR: f"what {self.actor_id} did, and what was done to them",
        }[HoldScope(self.scope)]
        span = [f"from {self.since:%Y-%m-%d}"] if self.since else []
        span += [f"before {self.until:%Y-%m-%d}"] if self.until else []
        return " ".join([what, *span])


class Cut(TenantModel):
    """The entries of a workspace from one leaf to another, on their way out of the ledger: archived, told of, removed.

    It goes one step at a time, each a transaction that finds the one before; `problem` says what it waits for, and
    `again_at` for how long it does.
    """

    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="cut")
    until = models.DateField()
    first_leaf = models.BigIntegerField()
    last_leaf = models.BigIntegerField()
    state = models.CharField(max_length=9, choices=CutState, default=CutState.CONFIRMED)
    confirmed_at = models.DateTimeField()
    archive = models.CharField(max_length=200, blank=True)
    archive_sha256 = models.CharField(max_length=64, blank=True)
    archive_bytes = models.BigIntegerField(null=True, blank=True)
    archive_until_date = models.DateField(null=True, blank=True)
    event_id = models.UUIDField(null=True, blank=True)
    entries = models.BigIntegerField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True)
    again_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = CutQuerySet.as_manager()

    class Meta:
        ordering = ["-confirmed_at", "-pk"]
        constraints = [
            models.CheckConstraint(name="cut_state_known", condition=Q(state__in=CutState.values)),
            models.CheckConstraint(
                name="cut_has_leaves", condition=Q(first_leaf__gte=0, last_leaf__gte=F("first_leaf"))
            ),
            models.CheckConstraint(
                name="cut_archived_first",
                condition=Q(state=CutState.CONFIRMED)
                | ~Q(archive_sha256="") & Q(archive_bytes__isnull=False, archive_until_date__isnull=False),
            ),
            models.CheckConstraint(
                name="cut_told_of_first",
                condition=Q(state__in=[CutState.CONFIRMED, CutState.ARCHIVED]) | Q(event_id__isnull=False),
            ),
            all_or_none("cut_done_whole", "done_at", "entries"),
            models.UniqueConstraint(name="one_cut_at_once", fields=["workspace"], condition=~Q(state=CutState.DONE)),
            models.UniqueConstraint(name="cut_leaf_once", fields=["workspace", "first_leaf"]),
        ]

    def __str__(self) -> str:
        return f"entries before {self.until:%d %B %Y}"

    @property
    def state_label(self) -> str:
        return CutState(self.state).label

    @property
    def tone(self) -> str:
        return "warn" if self.problem else CutState(self.state).tone

    @property
    def leaves(self) -> int:
        return self.last_leaf - self.first_leaf + 1


class Erasure(TenantModel):
    """That a person's data are erased, in all workspaces: what stays is their id.

    What was being written while they were erased may name them still: it is gone through once more at `again_at`.
    """

    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="erasure")
    person = person()
    confirmed_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True, blank=True)
    entries = models.BigIntegerField(null=True, blank=True)
    again_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True)

    objects: ClassVar[Any] = ErasureQuerySet.as_manager()

    class Meta:
        ordering = ["-confirmed_at", "-pk"]
        constraints = [models.UniqueConstraint(name="erased_once", fields=["person"])]

    def __str__(self) -> str:
        return f"erasure of {self.person_id}"


def latest_until(now: datetime, online_days: int) -> date:
    """Return the first day of a month before which every entry is older than so many days."""
    return (now.astimezone(UTC) - timedelta(days=online_days)).date().replace(day=1)
