"""What the tiers ask of their environments themselves, beside what is seen of them."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from apps.dashboards.places import Place
from apps.policies import effective, requirements
from apps.policies.clauses import Gate
from apps.policies.facts import EnvironmentFacts
from apps.policies.needs import Need, need_of
from apps.policies.requirements import Tally


def tallies(places: Iterable[Place]) -> dict[UUID, Tally]:
    """Return how many requirements each environment meets; none for those that nothing is asked of. Queries: two."""
    asking = [(place.environment, needs) for place in places if (needs := _needs(place))]
    seen = effective.seen_in([environment for environment, _ in asking]) if asking else {}
    return {place.pk: requirements.tally(requirements.judge(needs, seen[place.pk])) for place, needs in asking}


def page(place: Place) -> dict[str, Any]:
    """Return each requirement of an environment as it stands, whether any service is in effect there to say what it is,
    and the clauses that hold promotions by it.
    """
    needs = _needs(place)
    seen = effective.seen_in([place.environment])[place.id] if needs else EnvironmentFacts()
    judged = requirements.judge(needs, seen)
    clauses = (place.document or {}).get("clauses", ())
    return {
        "judged": judged,
        "tally": requirements.tally(judged),
        "is_deployed": bool(seen.services),
        "held_by": [clause["id"] for clause in clauses if clause["gate"] == Gate.ENVIRONMENT],
    }


def _needs(place: Place) -> tuple[Need, ...]:
    return tuple(map(need_of, (place.document or {}).get("requirements", ())))
