"""How a refusal is told: what happened, what stayed safe, what to do next; as a page, a fragment or a problem."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from apps.core.pages import wants_fragment
from apps.core.requests import FOR_PROGRAMS
from apps.core.verdict import Refusal

TITLES = {
    400: "This request can't be read",
    401: "Nobody is known to ask this",
    403: "You can't do this",
    404: "There is nothing at this address",
    405: "This address does not take that kind of request",
    409: "This is not possible as things stand now",
    413: "This is too large",
    415: "This is not in the form that is read here",
    422: "This can't be accepted as it is",
    429: "This was asked too often",
    500: "Something broke on our side",
    507: "There is no room for this",
}


@dataclass(frozen=True)
class Telling:
    status: int
    code: str
    sentence: str
    safe: str = "Nothing was changed."
    next_step: str = ""

    @property
    def title(self) -> str:
        return TITLES.get(self.status, TITLES[400])


NOT_FOUND = Telling(
    404,
    "not_found",
    "It was never here, has moved, or belongs to a workspace that you are not a member of.",
    safe="",
    next_step="Go back, or start from the dashboard.",
)


def telling_of(refusal: Refusal) -> Telling:
    return Telling(refusal.status, refusal.code, refusal.sentence, refusal.safe, refusal.next_step)


def tell(request: HttpRequest, telling: Telling) -> HttpResponse:
    """This function will answer with the refusal in the form that the client reads.

    Shapes: a fragment goes into #refusal at the head of the page, wherever the request wanted to put its own.
    """
    if request.path.startswith(FOR_PROGRAMS):
        return _problem(telling)
    if wants_fragment(request):
        response = render(request, "components/refusal.html", {"refusal": telling}, status=telling.status)
        response["HX-Retarget"] = "#refusal"
        response["HX-Reswap"] = "innerHTML show:top"
    else:
        templates = [f"{telling.status}.html", "400.html"]
        response = render(request, templates, {"refusal": telling}, status=telling.status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _problem(telling: Telling) -> JsonResponse:
    body = {"type": f"urn:eaip:problem:{telling.code}", "title": telling.title, "status": telling.status,
            "detail": telling.sentence, "code": telling.code}  # fmt: skip
    headers = {"WWW-Authenticate": "Bearer"} if telling.status == 401 else None
    return JsonResponse(body, status=telling.status, content_type="application/problem+json", headers=headers)
