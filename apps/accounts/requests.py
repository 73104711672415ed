from django_htmx.middleware import HtmxDetails

from apps.accounts.models import User
from apps.core.requests import ScopedRequest


class AuthedRequest(ScopedRequest):
    """A request as every view sees it that asks for sign-in. For annotations."""

    user: User
    htmx: HtmxDetails
