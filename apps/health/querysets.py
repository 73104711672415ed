from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.aggregates import StringAgg
from django.db.models import OuterRef, Q, Subquery, Value

from apps.workspaces.querysets import TenantQuerySet


class AlertQuerySet(TenantQuerySet):
    def firing(self) -> Self:
        return self.filter(ends_at=None)

    def names_of_lane(self) -> Any:
        """Return the names of the alerts of the outer query's lane, as one text; None where there is none."""
        of_lane = self.filter(lane=OuterRef("pk")).order_by().values("lane")
        return Subquery(of_lane.annotate(names=StringAgg("name", Value(", "), distinct=True)).values("names"))


class EndpointCheckQuerySet(TenantQuerySet):
    def naming(self) -> Self:
        """Return those whose answers name the version that they come from, where they say something of a release."""
        return self.filter(rolls_back=True).exclude(seen_version="")


class TroubleQuerySet(TenantQuerySet):
    def counting(self) -> Self:
        """Return what is or was wrong: of alerts those of the severities that count."""
        return self.filter(Q(severity=None) | Q(severity__in=settings.ALERT_SEVERITIES))

    def standing(self) -> Self:
        """Return what is wrong now."""
        return self.counting().filter(stands=True)
