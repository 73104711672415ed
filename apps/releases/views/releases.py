from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.core.verdict import Refusal
from apps.releases import actions, permissions, support
from apps.releases.enums import ReleaseSource
from apps.releases.filters import ReleaseFilter
from apps.releases.forms import ReasonForm, ReleaseForm
from apps.releases.models import Release

# Which field of the form a refusal of the action speaks of.
FIELDS = {
    "version_exists": "version", "version_taken": "version", "version_lower": "version", "version_invalid": "version",
    "service_retired": "service", "release_invalid": "manifest", "tag_unknown": "tag", "tag_of_another_version": "tag",
    "commit_unknown": "commit", "commit_of_another_tag": "commit", "migration_changed": "manifest",
    "migration_file_differs": "manifest",
}  # fmt: skip


@require_safe
def release_list(request: AuthedRequest) -> HttpResponse:
    form = ReleaseFilter(request.GET, workspaces=request.workspaces)
    page = page_of(form.releases(), request.GET, moment="created_at")
    releases = support.of_releases(page.rows, today=timezone.now().date())
    context = {
        "form": form,
        "page": page,
        "releases": releases,
        "may_create": request.rights.may_any(Capability.RELEASE_CREATE),
    }
    return render_page(request, "releases/release_list.html", context, part="releases")


@require_http_methods(["GET", "HEAD", "POST"])
def release_create(request: AuthedRequest) -> HttpResponse:
    workspaces = request.rights.require_any(Capability.RELEASE_CREATE)
    if request.method != "POST":
        initial = {"service": request.GET.get("service", ""), "seal": True}
        return _create_page(request, ReleaseForm(initial=initial, workspaces=workspaces))
    form = ReleaseForm(request.POST, workspaces=workspaces)
    if not form.is_valid():
        return _create_page(request, form)
    try:
        release = _create(form, by=request.user)
    except Refusal as refusal:
        # What was typed stays on the page, so this refusal is told beside it instead of on a page of its own.
        request.refusal = refusal
        form.add_error(FIELDS.get(refusal.code), f"{refusal.sentence} {refusal.next_step}".strip())
        return _create_page(request, form, status=refusal.status)
    messages.success(request, f"{release.service} {release.version} is {release.label.lower()}.")
    return redirect("releases:release-detail", release.service.slug, release.version)


@require_POST
def release_seal(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    release = _visible(request, service, version)
    permissions.may_release(request.user, release.service).require()
    release = actions.seal_release(release, by=request.user, now=timezone.now())
    return _done(request, release, "is sealed: it never changes again and can be promoted.")


@require_http_methods(["GET", "HEAD", "POST"])
def release_quarantine(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    release = _visible(request, service, version)
    permissions.may_quarantine(request.user, release).require()
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "releases/release_quarantine.html", {"release": release, "form": form})
    release = actions.quarantine_release(release, by=request.user, now=timezone.now(), **form.cleaned_data)
    return _done(request, release, "is in quarantine: nothing brings it anywhere until that is lifted.")


@require_http_methods(["GET", "HEAD", "POST"])
def quarantine_lift(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    release = _visible(request, service, version)
    permissions.may_quarantine(request.user, release).require()
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "releases/quarantine_lift.html", {"release": release, "form": form})
    release = actions.lift_quarantine(release, by=request.user, now=timezone.now(), **form.cleaned_data)
    return _done(request, release, "is out of quarantine.")


@require_http_methods(["GET", "HEAD", "POST"])
def release_retire(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    release = _visible(request, service, version)
    permissions.may_release(request.user, release.service).require()
    if request.method != "POST":
        return render_page(request, "releases/release_retire.html", {"release": release})
    release = actions.retire_release(release, by=request.user, now=timezone.now())
    return _done(request, release, "is retired.")


def _create_page(request: AuthedRequest, form: ReleaseForm, *, status: int = 200) -> HttpResponse:
    return render_page(request, "releases/release_create.html", {"form": form}, status=status)


def _create(form: ReleaseForm, *, by: User) -> Release:
    given, now = dict(form.cleaned_data), timezone.now()
    service, seal = given.pop("service"), given.pop("seal")
    release = actions.create_release(service, source=ReleaseSource.FORM, by=by, now=now, **given)
    return actions.seal_release(release, by=by, now=now) if seal else release


def _visible(request: AuthedRequest, service: str, version: str) -> Release:
    releases = Release.objects.readable_in(request.workspaces).select_related("service")
    return get_object_or_404(releases, service__slug=service, version=version)


def _done(request: AuthedRequest, release: Release, what: str) -> HttpResponse:
    messages.success(request, f"{release.service} {release.version} {what}")
    return redirect("releases:release-detail", release.service.slug, release.version)
