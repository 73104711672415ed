from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.accounts.requests import AuthedRequest
from apps.approvals.proof import decision_proof
from apps.core import live
from apps.core.pages import render_page
from apps.deployments.release_page import release_page
from apps.releases.models import Release


@require_safe
def release_detail(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    releases = Release.objects.readable_in(request.workspaces).select_related("service", "artifact")
    release = get_object_or_404(releases, service__slug=service, version=version)
    stream = live.stream("release", subject=release.pk)
    now = timezone.now()
    context = release_page(release, by=request.user, workspaces=request.workspaces, rights=request.rights, now=now)
    proof = decision_proof(request, context.get("shown"), now=now)
    return render_page(request, "releases/release_detail.html", {**context, "proof": proof, "stream": stream})
