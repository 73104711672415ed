"""What will happen if a promotion is asked for, before anybody asks: the gates judged on things as they are now."""

from dataclasses import dataclass
from datetime import datetime

from apps.approvals.actions.facts import collect, open_case
from apps.approvals.models import Promotion
from apps.environments.models import Lane
from apps.incidents.models import Incident
from apps.policies.clauses import Clause, Gate
from apps.policies.gates import GateResult, evaluate
from apps.releases.models import Release
from apps.releases.traits import HeldTrait


@dataclass(frozen=True)
class Preview:
    """`gates` leaves approvals out: those are `approvals`, clause by clause."""

    promotion: Promotion
    gates: tuple[GateResult, ...]
    approvals: tuple[Clause, ...]
    strategy: str
    traits: tuple[HeldTrait, ...]


def preview(release: Release, lane: Lane, *, incident: Incident | None = None, now: datetime) -> Preview | None:
    """This function will judge a promotion that nobody has asked for yet, and write nothing.

    Shapes: with an `incident`, as an emergency; None where the service has no configuration in the lane, so that
    nothing can be planned.
    Raises NoPolicy: nothing says what a promotion to this tier needs.
    """
    configuration = lane.configuration_versions.order_by("-number").first()
    if configuration is None:
        return None
    promotion = Promotion(
        workspace_id=lane.workspace_id,
        release=release,
        lane=lane,
        configuration=configuration,
        incident=incident,
        requested_at=now,
    )
    case = open_case(promotion)
    results = evaluate(case.policy, collect(case, [], [], now=now))
    return Preview(
        promotion=promotion,
        gates=tuple(result for result in results if result.name != Gate.APPROVALS),
        approvals=case.policy.clauses_of(Gate.APPROVALS),
        strategy=case.policy.strategy,
        traits=case.traits,
    )
