"""What people confirm that it is them for, as the policies in force ask; one answer for forms and actions."""

from datetime import datetime

from apps.accounts import permissions
from apps.accounts.confirmation import Confirmation
from apps.accounts.models import User
from apps.accounts.proving import ProofAsk, proof_ask
from apps.accounts.requests import AuthedRequest
from apps.environments.enums import Tier
from apps.policies.clauses import StepUp
from apps.policies.models import PolicyVersion

CONFIRM = "Open the page and do it there: its form asks you to confirm that it is you."


def step_up_of_production() -> StepUp | None:
    """This function will return how approvals of Production are confirmed, the strictest way (one query).

    What changes the rules, or says that a finding may stay, reaches Production without being asked for there.
    """
    version = PolicyVersion.objects.in_force(Tier.PRODUCTION).first()
    return version.rules.strictest_step_up if version else None


def confirmed_with(
    step_up: StepUp | None, by: User, confirmation: Confirmation | None, *, now: datetime, next_step: str = CONFIRM
) -> str:
    """This function will return with what somebody confirmed that it is them; empty where nothing asks for it.

    Raises NotConfirmed: something does, and the confirmation does not count.
    """
    if step_up is None:
        return ""
    factors = frozenset(by.second_factors.values_list("pk", flat=True))
    verdict = permissions.is_confirmed(
        by, confirmation, factors=factors, now=now, needs_factor=step_up == StepUp.SECOND_FACTOR
    )
    permissions.require_confirmed(verdict, next_step=next_step)
    return confirmation.proof.value if confirmation else ""


def proof_for(request: AuthedRequest, step_up: StepUp | None, *, now: datetime, error: str = "") -> ProofAsk | None:
    """This function will say what a form asks for so that its sender confirms that it is them (one query); None where
    nothing asks for it.
    """
    if step_up is None:
        return None
    return proof_ask(request, now=now, error=error, needs_factor=step_up == StepUp.SECOND_FACTOR)
