from datetime import datetime
from typing import Self
from uuid import UUID

from django.db.models import BooleanField, Exists, ExpressionWrapper, F, FilteredRelation, OuterRef, Q

from apps.approvals.enums import OPEN_PROMOTION, WAITING
from apps.policies.checklists import Phase
from apps.workspaces.models import Membership
from apps.workspaces.querysets import TenantQuerySet


class PromotionQuerySet(TenantQuerySet):
    def open(self) -> Self:
        return self.filter(state__in=OPEN_PROMOTION)

    def waiting(self) -> Self:
        return self.filter(state__in=WAITING)

    def with_subject(self) -> Self:
        """Return promotions with release, service, lane and environment, and what runs in the lane, in one query."""
        return self.select_related(
            "release__service",
            "lane__environment__workspace",
            "lane__service",
            "lane__live_release",
            "lane__live_configuration",
            "lane__previous_release",
            "configuration",
            "incident",
            "requested_by",
        )

    def named(self) -> Self:
        """Return promotions with what lists say of them, and rules of who may decide, in one query: nothing else of
        release, service and environment is loaded.
        """
        own = ("workspace", "number", "state", "plan", "starts_by_itself", "reason", "requested_at", "requested_by",
               "requested_by_label", "lane__environment__name")  # fmt: skip
        release = ("version", "source", "author", "committer", "created_by", "service__name")
        related = self.select_related("release__service", "lane__environment")
        return related.only(*own, *(f"release__{name}" for name in release))

    def judged_by(self, then: datetime) -> Self:
        """Return those that nobody judged after `then`, the least recently judged first."""
        never_or_before = Q(gates_at=None) | Q(gates_at__lte=then)
        return self.filter(never_or_before).order_by(F("gates_at").asc(nulls_first=True), "pk")


class RequirementQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        return self.filter(ended_at=None)

    def ask_again(self, now: datetime) -> None:
        """Let them wait from now: who was told that nobody answers is told anew in time."""
        self.update(waits_since=now, reminded_at=None, escalated_at=None)


class WaiverQuerySet(TenantQuerySet):
    def of(self, promotion_id: UUID | None) -> Self:
        """Return the waivers of a promotion with their people and roles, those that are void too."""
        return self.filter(promotion_id=promotion_id).select_related("granted_by", "role")

    def standing(self) -> Self:
        return self.filter(voided_at=None)


class DecisionQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        return self.filter(voided_at=None)

    def with_people(self) -> Self:
        """Return decisions with who decided, for whom, and as what, in one query."""
        return self.select_related("decided_by", "on_behalf_of", "requirement__role")

    def with_backing(self) -> Self:
        """Say of those by delegation whether both are still what they were (`is_backed`): one holds the role, the other
        is a member. That the time of the delegation is over changes nothing in what was decided.
        """
        return self.annotate(is_backed=_is_whole("delegation__membership", "decided_by", "workspace"))


class DelegationQuerySet(TenantQuerySet):
    def open(self) -> Self:
        """Return those that nobody ended; their time may be to come, or over."""
        return self.filter(ended_at=None)

    def in_force(self, now: datetime) -> Self:
        """Return those by which somebody may decide at this moment."""
        return self.open().filter(_is_whole("membership", "delegate", "workspace"), begins_at__lte=now, ends_at__gt=now)

    def void(self) -> Self:
        """Return open ones whose holder left the role, or whose delegate left the workspace."""
        return self.open().filter(~_is_whole("membership", "delegate", "workspace"))

    def with_people(self) -> Self:
        return self.select_related("membership__user", "membership__role", "delegate", "workspace")


class ChecklistLineQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        """Return lines that are still asked for, ticked or not."""
        return self.filter(ended_at=None)

    def of_phase(self, phase: Phase) -> Self:
        return self.filter(phase=phase)

    def open(self) -> Self:
        """Return lines that are asked for and that nothing has ticked."""
        tick = FilteredRelation("ticks", condition=Q(ticks__voided_at=None))
        return self.standing().alias(tick=tick).filter(tick=None)

    def owed(self) -> Self:
        """Return the open lines of what was deployed."""
        return self.of_phase(Phase.POST).open()


class TickQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        return self.filter(voided_at=None)

    def with_people(self) -> Self:
        return self.select_related("ticked_by", "on_behalf_of", "voided_by", "evidence")

    def of_gates(self) -> Self:
        return self.filter(ticked_by=None, evidence=None)

    def with_backing(self) -> Self:
        """Say whether who ticked still holds the role, or whoever lent it still does (`is_backed`)."""
        held = Membership.objects.current().filter(
            user_id=OuterRef("ticked_by_id"), role_id=OuterRef("line__role_id"), workspace_id=OuterRef("workspace_id")
        )
        whole = Q(Exists(held)) | Q(_is_whole("delegation__membership", "ticked_by", "workspace"))
        return self.annotate(is_backed=ExpressionWrapper(whole, output_field=BooleanField()))


def _is_whole(membership: str, delegate: str, workspace: str) -> Exists:
    """Return the condition that the membership stands and that the delegate has one in the workspace as well."""
    of_delegate = Membership.objects.current().filter(
        user_id=OuterRef(OuterRef(f"{delegate}_id")), workspace_id=OuterRef(OuterRef(f"{workspace}_id"))
    )
    return Exists(Membership.objects.current().filter(Exists(of_delegate), pk=OuterRef(f"{membership}_id")))
