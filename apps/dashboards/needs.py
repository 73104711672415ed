"""What the tiers ask of their environments themselves, beside what is seen of them."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from apps.dashboards.places import Place
from apps.policies import effective, requirements
from apps.policies.clauses import Gate
from apps.policies.needs import Need, need_of
from apps.policies.requirements import JudgedNeed, Tally


def tallies(places: Iterable[Place]) -> dict[UUID, Tally]:
    """Return how many requirements each environment meets; none for those that nothing is asked of. Queries: two."""
    return {place: requirements.tally(judged) for place, judged in _judged(places).items()}


def page(place: Place) -> dict[str, Any]:
    """Return each requirement of an environment as it stands, and the clauses that hold promotions by it."""
    judged = _judged([place]).get(place.id, ())
    clauses = (place.document or {}).get("clauses", ())
    return {
        "judged": judged,
        "tally": requirements.tally(judged),
        "held_by": [clause["id"] for clause in clauses if clause["gate"] == Gate.ENVIRONMENT],
    }


def _judged(places: Iterable[Place]) -> dict[UUID, tuple[JudgedNeed, ...]]:
    asking = [(place.environment, needs) for place in places if (needs := _needs(place))]
    seen = effective.seen_in([environment for environment, _ in asking]) if asking else {}
    return {environment.pk: requirements.judge(needs, seen[environment.pk]) for environment, needs in asking}


def _needs(place: Place) -> tuple[Need, ...]:
    return tuple(map(need_of, (place.document or {}).get("requirements", ())))
