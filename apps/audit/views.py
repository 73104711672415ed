from typing import cast
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.audit import saved_filters, seals, witnesses
from apps.audit.filters import RenameForm, SaveForm, TrailFilter
from apps.audit.models import AuditEvent, Checkpoint, SavedFilter
from apps.audit.offers import offered
from apps.audit.querysets import SavedFilterQuerySet
from apps.core.keyset import page_of
from apps.core.pages import attachment, moved, render_page
from apps.core.requests import ScopedRequest
from apps.core.verdict import Invalid, Verdict

LONGEST_QUERY = 1000


@require_safe
def event_list(request: ScopedRequest) -> HttpResponse:
    trail = TrailFilter(request.GET, workspaces=request.rights.require_any("AUDIT_READ"))
    page = trail.page(request.GET)
    saved = list(_saved(request))
    opened = next((each for each in saved if str(each.pk) == request.GET.get("saved")), None)
    context = {
        "form": trail,
        "saved": saved,
        "opened": opened,
        **(_rights_on(opened, request) if opened else {}),
        "save_form": SaveForm(workspaces=trail.workspaces),
        "rename_form": RenameForm(initial={"name": opened.name}) if opened else None,
        "page": page,
        "total": trail.total(page, exactly=request.GET.get("count") == "exactly" and page.newer is None),
        "chips": trail.chips(),
        "jump": request.GET.get("to", ""),
        "may_export": request.rights.may_any("AUDIT_EXPORT"),
        "subject": _subject(trail, page.rows),
        "holds": offered("hold", trail.workspaces),
    }
    return render_page(request, "audit/event_list.html", context, part="events")


@require_safe
def event_detail(request: ScopedRequest, event_id: UUID) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_READ")
    event = get_object_or_404(AuditEvent.objects.visible_in(workspaces), pk=event_id)
    context = {"event": event, "canonical": bytes(event.canonical).decode(), "place": seals.place_of(event)}
    return render_page(request, "audit/event_detail.html", context)


@require_safe
def event_bytes(request: ScopedRequest, event_id: UUID) -> HttpResponse:
    """The entry, byte for byte as it was sealed."""
    workspaces = request.rights.require_any("AUDIT_READ")
    event = get_object_or_404(AuditEvent.objects.visible_in(workspaces), pk=event_id)
    return attachment(bytes(event.canonical), "application/json", f"{event.pk}.json")


@require_safe
def event_proof(request: ScopedRequest, event_id: UUID) -> HttpResponse:
    """The proof that a signed tree holds the entry: with its bytes and a key, all that one needs to check it."""
    workspaces = request.rights.require_any("AUDIT_READ")
    event = get_object_or_404(AuditEvent.objects.visible_in(workspaces), pk=event_id)
    place = seals.place_of(event)
    if place is None or place.checkpoint is None:
        raise Invalid("No checkpoint holds this entry yet.", next_step="Ask again in a minute.")
    return attachment(seals.proof_of(event, place), "text/plain; charset=utf-8", f"{event.pk}.tlog-proof")


@require_safe
def seal_list(request: ScopedRequest) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_READ")
    names = {UUID(str(pk)): name for pk, name in offered("workspace", workspaces)}
    keys, anchors = seals.public_keys(), [anchor for anchor, _place in offered("anchor", workspaces)]
    logs = [
        {
            "name": names.get(state.workspace_id, "Workspace"),
            "state": state,
            "keys": [(key, key.vkey(state.workspace_id)) for key in keys],
            "anchors": [anchor for anchor in anchors if anchor.workspace_id == state.workspace_id],
        }
        for state in seals.states(workspaces)
    ]
    page = page_of(Checkpoint.objects.visible_in(workspaces), request.GET, moment="signed_at")
    shown = {"logs": logs, "page": page, "names": names, "seen": witnesses.of(page.rows)}
    return render_page(request, "audit/seal_list.html", shown, part="seals")


@require_safe
def seal_note(request: ScopedRequest, checkpoint_id: UUID) -> HttpResponse:
    """A checkpoint as it was signed, to be kept by whoever wants to check the log later."""
    workspaces = request.rights.require_any("AUDIT_READ")
    checkpoint = get_object_or_404(Checkpoint.objects.visible_in(workspaces), pk=checkpoint_id)
    name = f"checkpoint-{checkpoint.tree_size}-{checkpoint.signed_at:%Y%m%dT%H%M%SZ}.note"
    lines = [row.line for row in witnesses.of([checkpoint])[checkpoint.pk]]
    return attachment(checkpoint.note + "".join(lines), "text/plain; charset=utf-8", name)


@require_POST
def saved_filter_create(request: ScopedRequest) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_READ")
    trail, form = TrailFilter(request.POST, workspaces=workspaces), SaveForm(request.POST, workspaces=workspaces)
    if not (form.is_valid() and trail.is_valid() and len(trail.query()) <= LONGEST_QUERY):
        raise Invalid("These filters can't be saved: a filter or the name is not valid.", next_step="Correct them.")
    share = form.cleaned_data["share"]
    saved = saved_filters.save_filter(
        form.cleaned_data["name"],
        trail.query(),
        workspace_id=UUID(share) if share else workspaces[0],
        is_shared=bool(share),
        person_id=_person(request),
        by=request.user,
        now=timezone.now(),
    )
    return moved(request, "audit:saved-filter-detail", saved.pk)


@require_safe
def saved_filter_detail(request: ScopedRequest, filter_id: UUID) -> HttpResponse:
    saved = get_object_or_404(_saved(request), pk=filter_id)
    return redirect(f"{reverse('audit:event-list')}?{saved.query}{'&' if saved.query else ''}saved={saved.pk}")


@require_POST
def saved_filter_rename(request: ScopedRequest, filter_id: UUID) -> HttpResponse:
    saved = get_object_or_404(_saved(request), pk=filter_id)
    form = RenameForm(request.POST)
    if not form.is_valid():
        raise Invalid("A filter needs a name of at most 60 characters.", next_step="Give it one.")
    saved_filters.rename_filter(saved, form.cleaned_data["name"], person_id=_person(request), by=request.user)
    return moved(request, "audit:saved-filter-detail", saved.pk)


@require_POST
def saved_filter_take_over(request: ScopedRequest, filter_id: UUID) -> HttpResponse:
    saved = get_object_or_404(_saved(request), pk=filter_id)
    saved_filters.take_over_filter(saved, person_id=_person(request), keeps=_keeps(request, saved), by=request.user)
    return moved(request, "audit:saved-filter-detail", saved.pk)


@require_POST
def saved_filter_remove(request: ScopedRequest, filter_id: UUID) -> HttpResponse:
    saved = get_object_or_404(_saved(request), pk=filter_id)
    saved_filters.remove_filter(saved, person_id=_person(request), keeps=_keeps(request, saved), by=request.user)
    return moved(request, "audit:event-list")


def _person(request: ScopedRequest) -> UUID:
    return cast(UUID, request.user.pk)  # the middleware lets nobody else in


def _saved(request: ScopedRequest) -> SavedFilterQuerySet:
    return SavedFilter.objects.visible_in(request.rights.require_any("AUDIT_READ")).offered_to(_person(request))


def _keeps(request: ScopedRequest, saved: SavedFilter) -> Verdict:
    return cast(Verdict, request.rights.may("AUDIT_KEEP", saved.workspace_id))


def _rights_on(saved: SavedFilter, request: ScopedRequest) -> dict[str, object]:
    may_change = saved_filters.may_change(saved, person_id=_person(request))
    is_left = not may_change and saved_filters.is_left(saved)
    taking = saved_filters.may_take_over(saved, is_left=is_left, keeps=_keeps(request, saved))
    return {"may_change": may_change, "is_left": is_left, "may_take_over": taking}


def _subject(trail: TrailFilter, rows: list[AuditEvent]) -> str:
    """Return the name of the one object whose history this is, as its newest event knew it."""
    about = trail.is_valid() and trail.cleaned_data.get("object")
    return (rows[0].target_label or about[1]) if about and rows else ""
