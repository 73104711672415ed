from datetime import date
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from apps.accounts.models import Role
from apps.compliance.enums import ReviewKind
from apps.compliance.querysets import ReviewQuerySet
from apps.environments.models import all_or_none, person
from apps.workspaces.models import TenantModel


class Review(TenantModel):
    """Something that a workspace looks at every so many months, and who answers for it: a person, or who holds a role.

    `reminded_for` and `chased_for` are the due dates of which the owners were told before it and after it; no mail is
    tried before `mail_after`.
    """

    kind = models.CharField(max_length=11, choices=ReviewKind)
    title = models.CharField(max_length=120)
    asks = models.CharField(max_length=500)
    interval_months = models.PositiveSmallIntegerField()
    owner = person(null=True, blank=True)
    owner_role = models.ForeignKey(Role, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    next_due_date = models.DateField()
    set_at = models.DateTimeField()
    set_by = person()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = person(null=True, blank=True)
    reminded_for = models.DateField(null=True, blank=True)
    chased_for = models.DateField(null=True, blank=True)
    mail_after = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = ReviewQuerySet.as_manager()

    class Meta:
        ordering = ["next_due_date", "title"]
        constraints = [
            models.CheckConstraint(name="review_kind_known", condition=Q(kind__in=ReviewKind.values)),
            models.CheckConstraint(name="review_recurs", condition=Q(interval_months__gte=1, interval_months__lte=36)),
            models.CheckConstraint(
                name="review_has_one_owner",
                condition=Q(owner=None, owner_role__isnull=False) | Q(owner__isnull=False, owner_role=None),
            ),
            models.UniqueConstraint(name="review_once", fields=["workspace", "title"], condition=Q(ended_at=None)),
            all_or_none("review_ended_whole", "ended_at", "ended_by"),
        ]
        indexes = [models.Index(name="review_due", fields=["next_due_date"], condition=Q(ended_at=None))]

    def __str__(self) -> str:
        return self.title

    @property
    def owner_label(self) -> str:
        return str(self.owner) if self.owner else f"{self.owner_role} (role)"

    def is_overdue(self, today: date) -> bool:
        return self.ended_at is None and self.next_due_date < today


class ReviewDone(TenantModel):
    """That a review was done, for the day it was due, by a person who says what they found. Insert-only.

    `details` is what was taken from the portal at that moment: {"policies": [...]} that were in force, or {"access":
    {...}}, each row with what the reviewer said of it.
    """

    review = models.ForeignKey(Review, on_delete=models.PROTECT, related_name="done")
    due_date = models.DateField()
    done_at = models.DateTimeField()
    done_by = person()
    note = models.TextField(max_length=4000)
    link = models.URLField(max_length=500, blank=True)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-done_at", "-pk"]
        constraints = [models.UniqueConstraint(name="review_done_once", fields=["review", "due_date"])]
        indexes = [models.Index(name="review_done_by_age", fields=["workspace", "-done_at"])]

    def __str__(self) -> str:
        return f"{self.review_id} for {self.due_date}"

    @property
    def was_late(self) -> bool:
        return self.done_at.date() > self.due_date
