from datetime import datetime
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.audit import actions as audit
from apps.compliance import access, actions, permissions
from apps.compliance.access import access_at, known_since
from apps.compliance.actions.reviews import row_id
from apps.compliance.enums import ReviewKind
from apps.compliance.forms import AccessForm, CompletionForm
from apps.compliance.listing import listing_of
from apps.compliance.models import Review
from apps.compliance.tables import download
from apps.core.pages import moved, render_page
from apps.core.verdict import Invalid


@require_safe
def access_list(request: AuthedRequest) -> HttpResponse:
    """Who could do what at a moment, or what became otherwise since another one."""
    workspaces = request.rights.require_any("AUDIT_READ")
    form = AccessForm(request.GET, workspaces=workspaces)
    context = {"form": form, "known_since": known_since(), "may_export": request.rights.may_any("AUDIT_EXPORT")}
    if form.is_valid():
        at = form.cleaned_data["at"] or timezone.now()
        rows = form.matching(access_at(at, workspaces))
        context |= {"at": at, "page": listing_of(rows, request.GET)}
        if before := form.cleaned_data["before"]:
            found = access.moves(form.matching(access_at(before, workspaces)), rows)
            context |= {"before": before, "page": listing_of(found, request.GET)}
    return render_page(request, "compliance/access.html", context, part="rows")


@require_POST
def access_export(request: AuthedRequest) -> HttpResponse:
    workspaces, now = request.rights.require_any("AUDIT_EXPORT"), timezone.now()
    form = AccessForm(request.POST, workspaces=workspaces)
    if not form.is_valid():
        raise Invalid("This can't be exported: a filter is not valid.", next_step="Correct the filters.")
    at = form.cleaned_data["at"] or now
    rows = [row.as_row() for row in form.matching(access_at(at, workspaces))]
    asked = {**form.in_words(), "at": at.isoformat()}
    audit.record_export(
        asked, form="csv", workspaces=workspaces, by=request.user, kind="access.exported",
        what="who could do what", rows=len(rows),
    )  # fmt: skip
    return download(f"eaip-access-{at:%Y%m%dT%H%M%S%z}", "csv", access.COLUMNS, rows)


@require_http_methods(["GET", "HEAD", "POST"])
def access_review(request: AuthedRequest, review_id: UUID) -> HttpResponse:
    """A review of access, row by row: its owner says of each whether it is to stay."""
    workspaces, now = request.rights.require_any("AUDIT_READ"), timezone.now()
    reviews = Review.objects.visible_in(workspaces).with_owner()
    review = get_object_or_404(reviews, pk=review_id, kind=ReviewKind.ACCESS, ended_at=None)
    as_of = _as_of(request, now)
    form = CompletionForm(request.POST or None, review=review, initial={"due_date": review.next_due_date})
    answers = {key.removeprefix("row-"): str(value) for key, value in request.POST.items() if key.startswith("row-")}
    if request.method == "POST" and form.is_valid():
        due_date, note = form.cleaned_data["due_date"], form.cleaned_data["note"]
        try:
            actions.complete_access(
                review, due_date=due_date, as_of=as_of, answers=answers, note=note, by=request.user, now=now
            )
            return moved(request, "compliance:review-detail", review.pk)
        except actions.NotAnswered as refusal:  # in the page itself, so that the answers given so far stay
            form.add_error(None, f"{refusal.sentence} {refusal.next_step}")
    rows = [
        (row_id(row), row, row.person_id == str(request.user.pk), answers.get(row_id(row)))
        for row in access_at(as_of, [review.workspace_id])
    ]
    verdict = permissions.may_complete(request.user, review)
    context = {"review": review, "form": form, "rows": rows, "as_of": as_of.isoformat(), "may_complete": verdict}
    return render_page(request, "compliance/access_review.html", context)


def _as_of(request: AuthedRequest, now: datetime) -> datetime:
    """Return the moment of the rows that the page showed, so that nothing is confirmed that nobody saw."""
    try:
        shown = parse_datetime(request.POST.get("as_of", ""))
    except ValueError:
        shown = None
    return shown if shown and shown.tzinfo and shown <= now else now
