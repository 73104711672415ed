from collections.abc import Iterator

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.accounts.requests import AuthedRequest
from apps.core import live
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.deployments import ansi
from apps.deployments.filters import DeploymentFilter
from apps.deployments.forms import LogForm
from apps.deployments.log_window import FOUND_AT_MOST, Wanted, first_error, lines_between, window_of
from apps.deployments.models import Deployment
from apps.deployments.page import deployment_page
from apps.workspaces.scope import workspace_scope

RAW_BATCH = 5_000


@require_safe
def deployment_list(request: AuthedRequest) -> HttpResponse:
    form = DeploymentFilter(request.GET, workspaces=request.workspaces)
    page = page_of(form.deployments(), request.GET, moment="requested_at")
    return render_page(request, "deployments/deployment_list.html", {"form": form, "page": page}, part="deployments")


@require_safe
def deployment_detail(request: AuthedRequest, number: int) -> HttpResponse:
    wanted = LogForm(request.GET).wanted()
    seen = get_object_or_404(Deployment.objects.visible_in(request.workspaces), number=number)
    error = first_error(seen) if (jumps := request.GET.get("jump") == "error") else None
    if error:
        return redirect(f"{request.path}?from={error}&to={error}#L{error}")
    stream = _stream(seen, wanted) if seen.is_open else None
    deployment = visible_deployment(request, number)
    deployment.log_lines = seen.log_lines  # the stream goes on from here
    log = window_of(deployment, wanted)
    context = {
        **deployment_page(deployment, by=request.user, now=timezone.now()),
        "log": log, "stream": stream, "follows": deployment.is_open,
        "has_no_error": jumps, "shown_at_most": FOUND_AT_MOST,
    }  # fmt: skip
    return render_page(request, "deployments/deployment_detail.html", context, part="log-lines")


@require_safe
def log_raw(request: AuthedRequest, number: int) -> StreamingHttpResponse:
    deployment = visible_deployment(request, number)
    response = StreamingHttpResponse(_raw(deployment), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="deployment-{deployment.number}.log"'
    response["X-Accel-Buffering"] = "no"
    return response


def _stream(deployment: Deployment, wanted: Wanted) -> live.Stream:
    if wanted == Wanted():
        return live.stream("deployment", subject=deployment.pk, marks={"log": str(deployment.log_lines)})
    return live.stream("deployment-progress", subject=deployment.pk)


def visible_deployment(request: AuthedRequest, number: int) -> Deployment:
    deployments = Deployment.objects.visible_in(request.workspaces).with_subject()
    return get_object_or_404(
        deployments.select_related("from_configuration", "rolls_back", "cancel_requested_by", "abandon_proposed_by"),
        number=number,
    )


def _raw(deployment: Deployment) -> Iterator[str]:
    """Yield the log as text; each batch in a scope of its own, since the answer outlives the request's transaction."""
    for first in range(1, deployment.log_lines + 1, RAW_BATCH):
        with workspace_scope([deployment.workspace_id]):
            lines = [ansi.plain(line.text) for line in lines_between(deployment, first, first + RAW_BATCH - 1)]
        yield "".join(f"{line}\n" for line in lines)
