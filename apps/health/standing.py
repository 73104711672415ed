"""How the endpoint checks of a lane stand together: counted in the query that lists the lanes."""

from dataclasses import dataclass
from typing import Self

from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import JSONObject

from apps.environments.enums import Health
from apps.health.models import EndpointCheck


@dataclass(frozen=True)
class Standing:
    """`unheard` are those that nobody has an answer of yet; `naming` those whose answers name what they come from."""

    count: int = 0
    faulty: int = 0
    unheard: int = 0
    naming: int = 0

    @classmethod
    def read(cls, counts: dict[str, int] | None) -> Self:
        """Return what an annotation with `counts()` says; None is a lane without a check."""
        return cls(**(counts or {}))

    @property
    def tone(self) -> str:
        return "bad" if self.faulty else "ok" if self.count > self.unheard else "idle"

    @property
    def word(self) -> str:
        if not self.count:
            return "No endpoint check"
        checks = f"{self.count} check{'' if self.count == 1 else 's'}"
        if self.faulty:
            return f"{self.faulty} of {checks} faulty"
        return f"{self.unheard} of {checks} without signal" if self.unheard else f"{checks} healthy"


def counts() -> Subquery:
    """This function will return an expression for a query of lanes; `Standing.read` takes its value."""
    checks = EndpointCheck.objects.filter(lane=OuterRef("pk")).order_by().values("lane")
    counted = JSONObject(
        count=Count("pk"),
        faulty=Count("pk", filter=Q(verdict=Health.FAULTY)),
        unheard=Count("pk", filter=Q(verdict=Health.UNKNOWN)),
        naming=Count("pk", filter=~Q(seen_version="") & Q(rolls_back=True)),
    )
    return Subquery(checks.annotate(counted=counted).values("counted"))
