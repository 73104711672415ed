from apps.compliance.models.access import AccessChange, IdentityChange
from apps.compliance.models.anchors import Anchor
from apps.compliance.models.exports import AuditExport
from apps.compliance.models.retention import Cut, Erasure, LegalHold, Proposal, Retention
from apps.compliance.models.reviews import Review, ReviewDone
from apps.compliance.models.streams import AuditStream, StreamLetter

__all__ = [
    "AccessChange", "Anchor", "AuditExport", "AuditStream", "Cut", "Erasure", "IdentityChange", "LegalHold", "Proposal",
    "Retention", "Review", "ReviewDone", "StreamLetter",
]  # fmt: skip
