"""How a promotion's events are told: always about the promotion, so that its history is one list."""

from typing import Any

from apps.accounts.models import User
from apps.approvals.models import Promotion
from apps.audit import actions as audit
from apps.audit.actors import Actor


def record(promotion: Promotion, kind: str, sentence: str, *, by: User | Actor, **details: Any) -> None:
    """This function will write an event whose summary is "Promotion #12 (eaip-api 2.0.0 to QA)" and the sentence."""
    audit.record(
        kind,
        by=by,
        target=promotion,
        summary=f"Promotion #{promotion.number} ({promotion.subject}) {sentence}",
        environment_id=promotion.lane.environment_id,
        service_id=promotion.lane.service_id,
        target_details={"release": promotion.release.version},
        **details,
    )
