"""What a decision's form asks for, so that whoever decides confirms that it is them."""

from datetime import datetime

from apps.accounts.proving import ProofAsk, proof_ask
from apps.accounts.requests import AuthedRequest
from apps.approvals.page import ShownBox
from apps.policies.clauses import StepUp


def decision_proof(
    request: AuthedRequest, shown: ShownBox | None, *, now: datetime, error: str = ""
) -> ProofAsk | None:
    """This function will say what the form in a gate box asks for; None: the policy asks nothing (one query)."""
    if shown is None or shown.step_up is None:
        return None
    return proof_ask(request, now=now, error=error, needs_factor=shown.step_up == StepUp.SECOND_FACTOR)
