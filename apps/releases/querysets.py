from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.db.models import Count, F, Q
from django.db.models.fields.json import KT

from apps.core.clock import CLOCK, clock_in
from apps.releases.enums import PARTS_LISTS, SCANS, PushState, ReleaseState
from apps.workspaces.querysets import TenantQuerySet

# What releases of a service are ordered by (SemVer precedence).
ORDER = ("major", "minor", "patch", "precedence")


class CatalogueQuerySet(TenantQuerySet):
    def readable_in(self, workspaces: tuple[UUID, ...]) -> Self:
        """Return catalogue rows that are these workspaces' own or published to everybody."""
        return self.filter(Q(workspace_id__in=workspaces) | Q(is_published=True))


class ReleaseQuerySet(CatalogueQuerySet):
    def newest_first(self) -> Self:
        """Return releases by SemVer precedence, highest first (pre-releases below their release)."""
        return self.order_by("-major", "-minor", "-patch", "-precedence", "-id")

    def deployable(self) -> Self:
        return self.filter(state=ReleaseState.SEALED)


class SpannedQuerySet(CatalogueQuerySet):
    def brought(self, by: Any, over: Any) -> Self:
        """Return what hangs on the releases that come to a place with the release `by` where `over` runs: those between
        them and `by` itself, without other pre-releases; on `by` alone where nothing runs. Lowest release first.
        """
        of_service = self.filter(release__service_id=by.service_id).select_related("release")
        if over is None:
            return of_service.filter(release=by)
        between = ~_up_to(over) & _up_to(by) & Q(release__precedence="~")
        order = (f"release__{part}" for part in ORDER)
        return of_service.filter(between & ~Q(release__state=ReleaseState.DRAFT) | Q(release=by)).order_by(*order)


class EvidenceQuerySet(TenantQuerySet):
    def newest(self) -> Self:
        """Return the newest report of each kind: one for each suite of tests, and one for each scanner."""
        subjects = "kind", "suite", "tool"
        return self.annotate(tool=KT("figures__tool")).order_by(*subjects, "-received_at", "-pk").distinct(*subjects)

    def scans(self) -> Self:
        return self.filter(kind__in=SCANS)

    def parts_lists(self) -> Self:
        """Return the newest list of each format of each release, of what the release is sealed with."""
        sealed = self.filter(kind__in=PARTS_LISTS, artifact_digest=F("release__artifact_digest"))
        return sealed.order_by("release_id", "kind", "-received_at", "-pk").distinct("release_id", "kind")


class AcceptanceQuerySet(TenantQuerySet):
    def standing(self, now: datetime) -> Self:
        """Return those that last at this moment."""
        return self.filter(ended_at=None, expires_at__gt=now)


class PushQuerySet(TenantQuerySet):
    def claim(self, lasting: timedelta) -> bool:
        """Take the one push of this queryset for a while, by the database's clock; False when somebody else has it."""
        return _claimed(self.filter(state=PushState.RECEIVED), lasting)


class ComparisonQuerySet(TenantQuerySet):
    def finished(self) -> Self:
        return self.filter(finished_at__isnull=False)

    def claim(self, lasting: timedelta) -> bool:
        """Take the one comparison of this queryset for a while; False when somebody else has it or it is finished."""
        return _claimed(self.filter(finished_at=None), lasting)


def _up_to(release: Any) -> Q:
    """Return the condition that what is asked hangs on a release that is not higher than this one."""
    found, equal = Q(), Q()
    for part in ORDER:
        value = getattr(release, part)
        found |= equal & Q(**{f"release__{part}__lt": value})
        equal &= Q(**{f"release__{part}": value})
    return found | equal


class EventVersionQuerySet(TenantQuerySet):
    def with_consumers(self) -> Self:
        """Return versions with their subjects and services, and `standing`: how many services opted in."""
        standing = Count("consumers", filter=Q(consumers__ended_at=None))
        return self.select_related("subject__service").annotate(standing=standing)


class EventSchemaQuerySet(TenantQuerySet):
    def claim(self, lasting: timedelta) -> bool:
        """Take the one schema of this queryset for a while; False when somebody else has it or it is checked."""
        return _claimed(self.filter(checked_at=None), lasting)


class EventConsumerQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        return self.filter(ended_at=None)


class EndOfLifeQuerySet(CatalogueQuerySet):
    def standing(self) -> Self:
        return self.filter(withdrawn_at=None)


def _claimed(row: TenantQuerySet, lasting: timedelta) -> bool:
    free = Q(claimed_until=None) | Q(claimed_until__lt=CLOCK)
    return row.filter(free).update(claimed_until=clock_in(lasting)) == 1
