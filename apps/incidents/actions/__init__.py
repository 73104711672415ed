"""What can be done with incidents, and with what they leave owed."""

from apps.incidents.actions.debts import DebtPaid, NotADocument, NotAnApproval, owe, pay, write_paid
from apps.incidents.actions.incidents import (
    Attempt,
    IncidentInvalid,
    LinkedAlready,
    NothingRefused,
    add_note,
    call_again,
    change_severity,
    declare,
    link_deployment,
    resolve,
)

__all__ = [
    "Attempt", "DebtPaid", "IncidentInvalid", "LinkedAlready", "NotADocument", "NotAnApproval", "NothingRefused",
    "add_note", "call_again", "change_severity", "declare", "link_deployment", "owe", "pay", "resolve", "write_paid",
]  # fmt: skip
