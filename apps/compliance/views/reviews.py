from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.requests import AuthedRequest
from apps.compliance import actions, permissions
from apps.compliance.forms import CompletionForm, ReviewForm
from apps.compliance.models import Review, ReviewDone
from apps.core.keyset import page_of
from apps.core.pages import moved, render_page
from apps.workspaces.models import Workspace


@require_http_methods(["GET", "HEAD", "POST"])
def review_list(request: AuthedRequest) -> HttpResponse:
    """The calendar of reviews, and what was done; a form to put another one on it."""
    workspaces, now = request.rights.require_any("AUDIT_READ"), timezone.now()
    form = ReviewForm(request.POST or None, workspaces=workspaces)
    if request.method == "POST" and form.is_valid():
        actions.set_review(by=request.user, now=now, **form.cleaned_data)
        return moved(request, "compliance:review-list")
    standing = Review.objects.visible_in(workspaces).standing()
    done = ReviewDone.objects.visible_in(workspaces).select_related("review", "workspace", "done_by")
    owners = list(Workspace.objects.visible_in(workspaces))
    context = {
        "form": form,
        "reviews": [
            (each, each.is_overdue(now.date())) for each in standing.with_owner().order_by("next_due_date")[:200]
        ],
        "page": page_of(done, request.GET, moment="done_at", size=20),
        "managed": [owner for owner in owners if permissions.may_manage(request.user, owner)],
    }
    return render_page(request, "compliance/review_list.html", context, part="done")


@require_POST
def review_setup(request: AuthedRequest) -> HttpResponse:
    """The usual reviews, put on the calendar of one workspace in one step."""
    workspaces = request.rights.require_any("AUDIT_READ")
    wanted = Workspace.objects.visible_in(workspaces).filter(slug=request.POST.get("workspace", ""))
    actions.set_usual(get_object_or_404(wanted), by=request.user, now=timezone.now())
    return moved(request, "compliance:review-list")


@require_http_methods(["GET", "HEAD", "POST"])
def review_detail(request: AuthedRequest, review_id: UUID) -> HttpResponse:
    """One review with all that was done of it; its owner completes it here."""
    review, now = _review(request, review_id), timezone.now()
    form = CompletionForm(request.POST or None, review=review, initial={"due_date": review.next_due_date})
    if request.method == "POST" and form.is_valid():
        actions.complete(review, by=request.user, now=now, **form.cleaned_data)
        return moved(request, "compliance:review-detail", review.pk)
    done = review.done.select_related("done_by")
    context = {
        "review": review,
        "is_overdue": review.is_overdue(now.date()),
        "form": form,
        "page": page_of(done, request.GET, moment="done_at", size=20),
        "may_complete": permissions.may_complete(request.user, review),
        "may_manage": permissions.may_manage(request.user, review.workspace),
    }
    return render_page(request, "compliance/review_detail.html", context, part="done")


@require_POST
def review_end(request: AuthedRequest, review_id: UUID) -> HttpResponse:
    actions.end_review(_review(request, review_id), by=request.user, now=timezone.now())
    return moved(request, "compliance:review-list")


def _review(request: AuthedRequest, review_id: UUID) -> Review:
    reviews = Review.objects.visible_in(request.rights.require_any("AUDIT_READ"))
    return get_object_or_404(reviews.with_owner(), pk=review_id)
