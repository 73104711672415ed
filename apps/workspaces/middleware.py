from collections.abc import Callable

from django.db import transaction
from django.http import HttpResponse
from django.utils.functional import SimpleLazyObject

from apps.accounts.requests import AuthedRequest
from apps.workspaces.rights import rights_of
from apps.workspaces.scope import enter_scope, workspaces_of


class ScopeMiddleware:
    """Runs each request in one transaction that sees the person's workspaces, and undoes it if the answer is a refusal.

    Streamed answers outlive the transaction: they open their own scope.
    """

    def __init__(self, get_response: Callable[[AuthedRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: AuthedRequest) -> HttpResponse:
        request.workspaces = workspaces_of(request.user)
        request.rights = SimpleLazyObject(lambda: rights_of(request.user, request.workspaces))
        with transaction.atomic():
            enter_scope(request.workspaces, actor=request.user.pk)
            response = self.get_response(request)
            if response.status_code >= 400 and not getattr(response, "is_kept", False):
                transaction.set_rollback(True)
        return response
