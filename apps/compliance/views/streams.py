from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.compliance import actions, permissions
from apps.compliance.enums import StreamKind
from apps.compliance.forms import RewindForm, StreamForm
from apps.compliance.models import AuditStream, StreamLetter
from apps.compliance.streams import entries
from apps.core.keyset import page_of
from apps.core.pages import moved, render_page
from apps.core.verdict import Invalid
from apps.workspaces.models import Workspace


@require_http_methods(["GET", "HEAD", "POST"])
def stream_list(request: AuthedRequest) -> HttpResponse:
    """The streams of the workspaces that the person manages, and a form to set one up."""
    managed = _managed(request)
    form = StreamForm(request.POST or None, workspaces=managed)
    if request.method == "POST" and form.is_valid():
        stream = actions.create_stream(by=request.user, now=timezone.now(), **form.cleaned_data)
        return moved(request, "compliance:stream-detail", stream.pk)
    streams = AuditStream.objects.visible_in(tuple(each.pk for each in managed)).standing()
    page = page_of(streams.select_related("workspace"), request.GET, moment="created_at", size=20)
    context = {"form": form, "page": page}
    return render_page(request, "compliance/stream_list.html", context, part="streams")


@require_safe
def stream_detail(request: AuthedRequest, stream_id: UUID) -> HttpResponse:
    return _detail(request, _stream(request, stream_id))


@require_POST
def stream_secret(request: AuthedRequest, stream_id: UUID) -> HttpResponse:
    stream = _stream(request, stream_id)
    return _detail(request, stream, secret=actions.read_secret(stream, by=request.user))


def _detail(request: AuthedRequest, stream: AuditStream, *, secret: str = "") -> HttpResponse:
    waits, since = entries.behind(stream.workspace_id, stream.next_leaf)
    letters = StreamLetter.objects.visible_in((stream.workspace_id,)).filter(stream=stream)
    context = {
        "stream": stream,
        "waits": waits,
        "since": since,
        "page": page_of(letters, request.GET, moment="refused_at", size=20),
        "has_refused": letters.filter(replayed_at=None, is_waiting=False).exists(),
        "rewind_form": RewindForm(),
        "is_signed": stream.kind == StreamKind.WEBHOOK,
        "secret": secret,
    }
    return render_page(request, "compliance/stream_detail.html", context, part="letters")


@require_POST
def stream_pause(request: AuthedRequest, stream_id: UUID) -> HttpResponse:
    stream = actions.pause_stream(_stream(request, stream_id), by=request.user)
    return moved(request, "compliance:stream-detail", stream.pk)


@require_POST
def stream_resume(request: AuthedRequest, stream_id: UUID) -> HttpResponse:
    stream = actions.resume_stream(_stream(request, stream_id), by=request.user)
    return moved(request, "compliance:stream-detail", stream.pk)


@require_POST
def stream_rewind(request: AuthedRequest, stream_id: UUID) -> HttpResponse:
    stream, form = _stream(request, stream_id), RewindForm(request.POST)
    if not form.is_valid():
        raise Invalid("This is no time to begin from.", next_step="Choose a day and a time.")
    actions.rewind_stream(stream, since=form.cleaned_data["since"], by=request.user)
    return moved(request, "compliance:stream-detail", stream.pk)


@require_POST
def stream_replay(request: AuthedRequest, stream_id: UUID) -> HttpResponse:
    stream = _stream(request, stream_id)
    actions.replay_letters(stream, by=request.user)
    return moved(request, "compliance:stream-detail", stream.pk)


@require_POST
def stream_remove(request: AuthedRequest, stream_id: UUID) -> HttpResponse:
    actions.remove_stream(_stream(request, stream_id), by=request.user, now=timezone.now())
    return moved(request, "compliance:stream-list")


def _managed(request: AuthedRequest) -> list[Workspace]:
    owners = Workspace.objects.visible_in(request.workspaces)
    verdicts = [(each, permissions.may_manage_streams(request.user, each)) for each in owners]
    managed = [each for each, verdict in verdicts if verdict]
    if not managed and verdicts:
        verdicts[0][1].require()
    return managed


def _stream(request: AuthedRequest, stream_id: UUID) -> AuditStream:
    streams = AuditStream.objects.visible_in(request.workspaces).select_related("workspace", "created_by")
    stream: AuditStream = get_object_or_404(streams, pk=stream_id)
    permissions.may_manage_streams(request.user, stream.workspace).require()
    return stream
