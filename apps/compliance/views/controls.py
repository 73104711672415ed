from datetime import timedelta

from django.http import Http404, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.audit import actions as audit
from apps.compliance import catalogue, page
from apps.compliance.checks import Scope
from apps.compliance.forms import PeriodForm
from apps.compliance.models import Review
from apps.compliance.tables import download
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.core.verdict import Invalid

SOON = timedelta(days=30)


@require_safe
def overview(request: AuthedRequest) -> HttpResponse:
    """How each control stands now, and which reviews are due."""
    workspaces, now = request.rights.require_any("AUDIT_READ"), timezone.now()
    form = PeriodForm(request.GET or {"days": "90"})
    due = Review.objects.visible_in(workspaces).standing().filter(next_due_date__lte=(now + SOON).date())
    context = {
        "form": form,
        "frameworks": page.shown_now(Scope(workspaces, form.since(now), now)),
        "due": [(each, each.is_overdue(now.date())) for each in due.with_owner()[:10]],
        "may_export": request.rights.may_any("AUDIT_EXPORT"),
        "may_stream": request.rights.may_any("POLICY_CHANGE"),
    }
    return render_page(request, "compliance/overview.html", context)


@require_safe
def control(request: AuthedRequest, framework: str, control: str) -> HttpResponse:
    """One control: what is said of it now, and the entries that prove it."""
    workspaces, now = request.rights.require_any("AUDIT_READ"), timezone.now()
    found = catalogue.find(framework, control)
    if found is None:
        raise Http404
    form = PeriodForm(request.GET if "days" in request.GET else {"days": "90"})
    since = form.since(now)
    context = {
        "form": form,
        "framework": catalogue.frameworks()[framework],
        "shown": page.shown(found, Scope(workspaces, since, now)),
        "since": since,
        "page": page_of(
            page.proof_of(found, workspaces, since=since, until=now), request.GET, moment="recorded_at", size=25
        ),
    }
    return render_page(request, "compliance/control.html", context, part="proof")


@require_POST
def mapping_export(request: AuthedRequest) -> HttpResponse:
    """The mapping with its state over a period, as CSV or JSON."""
    workspaces, now = request.rights.require_any("AUDIT_EXPORT"), timezone.now()
    form, kind = PeriodForm(request.POST), request.POST.get("format", "csv")
    if kind not in ("csv", "json") or not form.is_valid():
        raise Invalid("This can't be exported: the period or the format is not offered.", next_step="Choose another.")
    rows = page.rows_of(page.shown_now(Scope(workspaces, form.since(now), now)))
    asked = {"days": form.cleaned_data["days"] or "90"}
    audit.record_export(
        asked, form=kind, workspaces=workspaces, by=request.user, kind="compliance.exported",
        what="the state of controls", rows=len(rows),
    )  # fmt: skip
    return download(f"eaip-controls-{now:%Y%m%dT%H%M%SZ}", kind, page.COLUMNS, rows)
