import hashlib
from dataclasses import replace
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from apps.api import actions, admissions, dossiers, records, witnesses
from apps.api import exports as trail_exports
from apps.api import metrics as figures
from apps.api import releases as described_releases
from apps.api.bodies import json_object, raw_body, require_json
from apps.api.identities import require_scraper, service_of_webhook, token_of, webhook_actor
from apps.api.pushes import read_push
from apps.audit.source import Source, coming_from, current_source
from apps.compliance.exports.download import file_response
from apps.compliance.exports.manifest import manifest_of
from apps.core.refusals import Telling, tell
from apps.deployments import admission as cluster_admission
from apps.releases import actions as release_actions
from apps.releases import reports
from apps.workspaces.scope import workspace_scope

PLAIN = "text/plain; charset=utf-8"
NOTE_LIMIT = 10_000


# No cookie is read at these addresses, so no other site can make a browser ask here with somebody's rights.
@csrf_exempt
@login_not_required
def releases(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _post_only(request)
    now = timezone.now()
    token = token_of(request, now)
    require_json(request)
    body = raw_body(request)
    with workspace_scope([token.workspace_id]):
        answer = actions.create_release_once(
            token,
            key=request.headers.get("Idempotency-Key", ""),
            digest=hashlib.sha256(body).hexdigest(),
            body=json_object(body),
            by=token.actor,
            now=now,
        )
    page = reverse("releases:release-detail", args=[answer.body["service"], answer.body["version"]])
    headers = {"Location": page} | ({"Idempotency-Replayed": "true"} if answer.again else {})
    return JsonResponse(answer.body, status=answer.status, headers=headers)


@csrf_exempt
@login_not_required
def release(request: HttpRequest, service: str, version: str) -> HttpResponse:
    if request.method != "GET":
        return _only(request, "GET")
    now = timezone.now()
    token = token_of(request, now)
    with workspace_scope([token.workspace_id]):
        return JsonResponse(described_releases.described(token, service, version, now=now))


@csrf_exempt
@login_not_required
def evidence(request: HttpRequest, service: str, version: str) -> HttpResponse:
    """The body is the report as the tool wrote it; what it is stands in the address."""
    if request.method != "POST":
        return _post_only(request)
    now = timezone.now()
    token = token_of(request, now)
    report = raw_body(request, reports.LIMIT)
    with workspace_scope([token.workspace_id]):
        by = token.actor
        answer = actions.receive_evidence(token, service, version, request.GET.dict(), report=report, by=by, now=now)
    return JsonResponse(answer.body, status=answer.status)


@csrf_exempt
@login_not_required
def event_consumer(request: HttpRequest, service: str, subject: str, number: int) -> HttpResponse:
    if request.method not in ("POST", "DELETE"):
        return _only(request, "POST", "DELETE")
    now = timezone.now()
    token = token_of(request, now)
    with workspace_scope([token.workspace_id]):
        by = token.actor
        does = actions.opt_in if request.method == "POST" else actions.opt_out
        answer = does(token, service, subject, number, by=by, now=now)
    return JsonResponse(answer.body, status=answer.status)


@csrf_exempt
@login_not_required
def checkpoint(request: HttpRequest) -> HttpResponse:
    """The newest signed tree of the token's workspace, for whoever watches that it only grows."""
    if request.method != "GET":
        return _only(request, "GET")
    token = token_of(request, timezone.now())
    with workspace_scope([token.workspace_id]):
        return HttpResponse(witnesses.newest_note(token), content_type=PLAIN)


@csrf_exempt
@login_not_required
def consistency(request: HttpRequest) -> HttpResponse:
    if request.method != "GET":
        return _only(request, "GET")
    token = token_of(request, timezone.now())
    with workspace_scope([token.workspace_id]):
        path = witnesses.consistency(token, request.GET.get("old", ""), request.GET.get("new", ""))
    return HttpResponse("".join(f"{node}\n" for node in path), content_type=PLAIN)


@csrf_exempt
@login_not_required
def cosignatures(request: HttpRequest) -> HttpResponse:
    """The body is a checkpoint's text with the signature of a witness below it."""
    if request.method != "POST":
        return _post_only(request)
    token = token_of(request, timezone.now())
    body = raw_body(request, NOTE_LIMIT)
    with workspace_scope([token.workspace_id]):
        is_new = witnesses.receive(token, body)
    return HttpResponse("Kept.\n", content_type=PLAIN, status=201 if is_new else 200)


@csrf_exempt
@login_not_required
def git_webhook(request: HttpRequest, slug: str) -> HttpResponse:
    if request.method != "POST":
        return _post_only(request)
    body, now = raw_body(request), timezone.now()
    service = service_of_webhook(request, slug, body)
    require_json(request)
    payload = json_object(body)
    if request.headers.get("X-GitHub-Event", "") != "push":
        return JsonResponse({"detail": "Only pushes are of interest here."})
    push = read_push(payload, now)
    if push is None or not push.is_release:
        return JsonResponse({"detail": "Nothing is released from this branch or tag."})
    with coming_from(_webhook_source()), workspace_scope([service.workspace_id]):
        pushed = release_actions.receive_push(
            service,
            delivery_id=request.headers.get("X-GitHub-Delivery", ""),
            body_digest=hashlib.sha256(body).hexdigest(),
            ref=push.ref,
            commit=push.commit,
            pusher_label=push.pusher,
            author_email=push.author_email,
            committer_email=push.committer_email,
            by=webhook_actor(service),
            now=now,
        )
    return JsonResponse({"id": str(pushed.pk), "detail": f"{pushed} is being built."}, status=202)


@csrf_exempt
@login_not_required
def alertmanager_webhook(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _post_only(request)
    now = timezone.now()
    token = token_of(request, now)
    require_json(request)
    payload = json_object(raw_body(request))
    with coming_from(_webhook_source()), workspace_scope([token.workspace_id]):
        by = token.actor
        answer = actions.receive_alerts(token, payload=payload, by=by, now=now)
    return JsonResponse(answer, status=202)


@csrf_exempt
@login_not_required
def admission(request: HttpRequest, cluster: str) -> HttpResponse:
    if request.method != "POST":
        return _post_only(request)
    now = timezone.now()
    token = token_of(request, now)
    require_json(request)
    uid, review = admissions.read_review(json_object(raw_body(request, admissions.LIMIT)), cluster)
    with coming_from(_webhook_source()), workspace_scope([token.workspace_id]):
        by = token.actor
        verdict = cluster_admission.judge(review, workspace_id=token.workspace_id, by=by, now=now)
    return JsonResponse(admissions.answer(uid, verdict))


@csrf_exempt
@login_not_required
def data_refreshes(request: HttpRequest, slug: str) -> HttpResponse:
    return _record(request, slug, records.refresh)


@csrf_exempt
@login_not_required
def data_removals(request: HttpRequest, slug: str) -> HttpResponse:
    return _record(request, slug, records.removal)


@csrf_exempt
@login_not_required
def recovery_records(request: HttpRequest, slug: str) -> HttpResponse:
    return _record(request, slug, records.recovery)


def _record(request: HttpRequest, slug: str, does: records.Recorder) -> HttpResponse:
    if request.method != "POST":
        return _post_only(request)
    now = timezone.now()
    token = token_of(request, now)
    require_json(request)
    body = json_object(raw_body(request))
    with workspace_scope([token.workspace_id]):
        answer = does(token, slug, body, by=token.actor, now=now)
    return JsonResponse(answer.body, status=answer.status)


@csrf_exempt
@login_not_required
def exports(request: HttpRequest) -> HttpResponse:
    if request.method not in ("GET", "POST"):
        return _only(request, "GET", "POST")
    now = timezone.now()
    token = token_of(request, now)
    if request.method == "GET":
        with workspace_scope([token.workspace_id]):
            return JsonResponse({"exports": trail_exports.of_token(token)})
    require_json(request)
    body = json_object(raw_body(request))
    with workspace_scope([token.workspace_id]):
        asked = trail_exports.ask(token, body, now=now)
        headers = {"Location": reverse("api:export", args=[asked.pk])}
        return JsonResponse(manifest_of(asked), status=202, headers=headers)


@csrf_exempt
@login_not_required
def export(request: HttpRequest, export_id: UUID) -> HttpResponse:
    if request.method != "GET":
        return _only(request, "GET")
    token = token_of(request, timezone.now())
    with workspace_scope([token.workspace_id]):
        return JsonResponse(manifest_of(trail_exports.named(token, export_id)))


@csrf_exempt
@login_not_required
def export_file(request: HttpRequest, export_id: UUID) -> HttpResponseBase:
    if request.method not in ("GET", "HEAD"):
        return _only(request, "GET", "HEAD")
    token = token_of(request, timezone.now())
    with workspace_scope([token.workspace_id]):
        found = trail_exports.named(token, export_id)
        return file_response(request, found, by=token.actor)


@csrf_exempt
@login_not_required
def release_dossier(request: HttpRequest, service: str, version: str) -> HttpResponse:
    if request.method != "GET":
        return _only(request, "GET")
    now = timezone.now()
    token = token_of(request, now)
    with workspace_scope([token.workspace_id]):
        body = dossiers.of_release(token, service, version, site=_site(request), by=token.actor, now=now)
    return HttpResponse(body, content_type="application/json")


@csrf_exempt
@login_not_required
def deployment_dossier(request: HttpRequest, number: int) -> HttpResponse:
    if request.method != "GET":
        return _only(request, "GET")
    now = timezone.now()
    token = token_of(request, now)
    with workspace_scope([token.workspace_id]):
        whole = request.GET.get("log") == "whole"
        body = dossiers.of_deployment(token, number, whole_log=whole, site=_site(request), by=token.actor, now=now)
    return HttpResponse(body, content_type="application/json")


@csrf_exempt
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """What Prometheus reads of the portal itself."""
    if request.method != "GET":
        return _only(request, "GET")
    require_scraper(request)
    body, content_type = figures.exposition(request.headers.get("Accept", ""), now=timezone.now())
    return HttpResponse(body, content_type=content_type)


def _site(request: HttpRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")


def _webhook_source() -> Source:
    return replace(current_source(), via="webhook")


def _post_only(request: HttpRequest) -> HttpResponse:
    return _only(request, "POST")


def _only(request: HttpRequest, *methods: str) -> HttpResponse:
    response = tell(request, Telling(405, "method_not_allowed", f"Answered here: {' and '.join(methods)}."))
    response["Allow"] = ", ".join(methods)
    return response
