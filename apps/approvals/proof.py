"""What a decision's form asks for, so that whoever decides confirms that it is them."""

from datetime import datetime

from apps.accounts.proving import ProofAsk
from apps.accounts.requests import AuthedRequest
from apps.approvals.page import ShownBox
from apps.policies.confirming import proof_for


def decision_proof(
    request: AuthedRequest, shown: ShownBox | None, *, now: datetime, error: str = ""
) -> ProofAsk | None:
    """This function will say what the form in a gate box asks for; None: the policy asks nothing (one query)."""
    return proof_for(request, shown.step_up if shown else None, now=now, error=error)
