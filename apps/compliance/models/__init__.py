from apps.compliance.models.access import AccessChange, IdentityChange
from apps.compliance.models.reviews import Review, ReviewDone

__all__ = ["AccessChange", "IdentityChange", "Review", "ReviewDone"]
