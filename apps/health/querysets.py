from typing import Any, Self

from django.contrib.postgres.aggregates import StringAgg
from django.db.models import OuterRef, Subquery, Value

from apps.workspaces.querysets import TenantQuerySet


class AlertQuerySet(TenantQuerySet):
    def firing(self) -> Self:
        return self.filter(ends_at=None)

    def names_of_lane(self) -> Any:
        """Return the names of the alerts of the outer query's lane, as one text; None where there is none."""
        of_lane = self.filter(lane=OuterRef("pk")).order_by().values("lane")
        return Subquery(of_lane.annotate(names=StringAgg("name", Value(", "), distinct=True)).values("names"))
