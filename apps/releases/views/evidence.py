from collections.abc import Mapping
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.core.verdict import Refusal
from apps.integrations.artifact_store import ArtifactStore
from apps.releases import actions, permissions
from apps.releases.filters import FindingFilter, PartFilter
from apps.releases.forms import EvidenceForm
from apps.releases.models import Acceptance, Evidence, Finding, Release, Service

# Which field of the form a refusal of the action speaks of.
FIELDS: Mapping[str, str] = {"evidence_invalid": "report", "evidence_too_large": "report"}


@require_safe
def evidence_list(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    release = _visible(request, service, version)
    return _page(request, release, EvidenceForm(release=release))


@require_POST
def evidence_create(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    release = _visible(request, service, version)
    permissions.may_release(request.user, release.service).require()
    form = EvidenceForm(request.POST, request.FILES, release=release)
    if not form.is_valid():
        return _page(request, release, form)
    try:
        found, is_new = actions.keep_evidence(release, by=request.user, now=timezone.now(), **form.wanted())
    except Refusal as refusal:
        # What was chosen stays on the page, so this refusal is told beside it instead of on a page of its own.
        request.refusal = refusal
        form.add_error(FIELDS.get(refusal.code), f"{refusal.sentence} {refusal.next_step}".strip())
        return _page(request, release, form, status=refusal.status)
    if is_new:
        messages.success(request, f"{found.label}: {found.sentence}.")
    else:
        messages.info(request, "This report was kept before.")
    return redirect("releases:evidence-list", service, version)


@require_safe
def evidence_original(request: AuthedRequest, service: str, version: str, evidence_id: UUID) -> FileResponse:
    release = _visible(request, service, version)
    found = get_object_or_404(Evidence, pk=evidence_id, release=release)
    file = ArtifactStore(settings.ARTIFACT_DIR).path(found.sha256).open("rb")
    name = f"{service}-{version}-{found.kind.lower()}-{found.sha256[:12]}"
    # Whatever somebody sent is never shown by a browser as a page of this portal.
    return FileResponse(file, as_attachment=True, filename=name, content_type="application/octet-stream")


@require_safe
def finding_list(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    release = _visible(request, service, version)
    reports = list(release.evidence.scans().filter(artifact_digest=release.artifact_digest).newest())
    form = FindingFilter(request.GET)
    page = page_of(form.findings(reports), request.GET, moment="severity")
    context = {
        "release": release,
        "form": form,
        "reports": reports,
        "unlisted": sum(report.unlisted for report in reports),
        "page": page,
        "found": _with_acceptances(release, page.rows),
        "may_accept": permissions.may_accept(request.user, release),
        "may_withdraw": permissions.may_withdraw_acceptance(request.user, release.service),
    }
    return render_page(request, "releases/finding_list.html", context, part="findings")


@require_safe
def part_list(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    release = _visible(request, service, version)
    lists = sorted(release.evidence.parts_lists(), key=lambda found: found.received_at, reverse=True)
    form = PartFilter(request.GET, lists=lists)
    shown = form.chosen()
    page = page_of(form.parts(shown), request.GET, moment="rank") if shown else None
    context = {"release": release, "form": form, "shown": shown, "page": page}
    return render_page(request, "releases/part_list.html", context, part="parts")


@require_safe
def acceptance_list(request: AuthedRequest, service: str) -> HttpResponse:
    of = get_object_or_404(Service.objects.visible_in(request.workspaces), slug=service)
    found = of.acceptances.select_related("accepted_by", "ended_by")
    context = {
        "service": of,
        "now": timezone.now(),
        "page": page_of(found, request.GET, moment="accepted_at"),
        "may_withdraw": permissions.may_withdraw_acceptance(request.user, of),
    }
    return render_page(request, "releases/acceptance_list.html", context, part="acceptances")


def _with_acceptances(release: Release, findings: list[Finding]) -> list[tuple[Finding, Acceptance | None]]:
    """Pair the findings with what counts for them in this release now (one query)."""
    standing = Acceptance.objects.standing(timezone.now()).filter(
        service_id=release.service_id, fingerprint__in={finding.fingerprint for finding in findings}
    )
    given = {(each.rule, each.fingerprint): each for each in standing.select_related("accepted_by")}
    pairs = [(finding, given.get((finding.rule, finding.fingerprint))) for finding in findings]
    return [
        (finding, each if each and permissions.counts(each, severity=finding.severity, release=release) else None)
        for finding, each in pairs
    ]


def _visible(request: AuthedRequest, service: str, version: str) -> Release:
    # Who only reads a published release of another workspace does not see what was reported of it.
    releases = Release.objects.filter(workspace_id__in=request.workspaces).select_related("service")
    return get_object_or_404(releases, service__slug=service, version=version)


def _page(request: AuthedRequest, release: Release, form: EvidenceForm, *, status: int = 200) -> HttpResponse:
    found = release.evidence.select_related("environment", "release")
    context = {
        "release": release,
        "form": form,
        "page": page_of(found, request.GET, moment="received_at"),
        "may_add": permissions.may_release(request.user, release.service),
    }
    return render_page(request, "releases/evidence_list.html", context, part="evidence", status=status)
