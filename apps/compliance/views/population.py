from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.audit import actions as audit
from apps.compliance import population
from apps.compliance.checks import CHECKS, Scope
from apps.compliance.forms import PopulationForm
from apps.compliance.tables import download
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.core.verdict import Invalid


@require_safe
def population_list(request: AuthedRequest) -> HttpResponse:
    """Everything that was seen running, with the deployment that brought it."""
    workspaces, now = request.rights.require_any("AUDIT_READ"), timezone.now()
    form = PopulationForm(request.GET, workspaces=workspaces)
    lanes = population.running_in(workspaces).filter(**form.criteria())
    found = page_of(lanes, request.GET, moment="created_at")
    context = {
        "form": form,
        "page": found,
        "rows": population.told(found.rows),
        "said": CHECKS["population_complete"](Scope(workspaces, now, now)),
        "may_export": request.rights.may_any("AUDIT_EXPORT"),
    }
    return render_page(request, "compliance/population.html", context, part="rows")


@require_POST
def population_export(request: AuthedRequest) -> HttpResponse:
    workspaces, now = request.rights.require_any("AUDIT_EXPORT"), timezone.now()
    form = PopulationForm(request.POST, workspaces=workspaces)
    if not form.is_valid():
        raise Invalid("This can't be exported: a filter is not valid.", next_step="Correct the filters.")
    lanes = population.running_in(workspaces).filter(**form.criteria()).order_by("workspace", "environment", "service")
    rows = [row.as_row() for row in population.told(list(lanes))]
    audit.record_export(
        form.criteria(), form="csv", workspaces=workspaces, by=request.user, kind="population.exported",
        what="what runs", rows=len(rows),
    )  # fmt: skip
    return download(f"eaip-population-{now:%Y%m%dT%H%M%SZ}", "csv", population.COLUMNS, rows)
