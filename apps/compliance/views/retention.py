from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.confirmation import Confirmation
from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.accounts.proving import refused_with, try_confirmed
from apps.accounts.requests import AuthedRequest
from apps.audit import actions as audit
from apps.compliance import actions, permissions
from apps.compliance.cutting import path_of
from apps.compliance.enums import Wish
from apps.compliance.models import Cut, Erasure, LegalHold, Proposal
from apps.compliance.retention import retentions_of
from apps.compliance.retention_forms import CutForm, ErasureForm, HoldForm, LiftForm, RetentionForm, WishForm
from apps.core.keyset import page_of
from apps.core.pages import kept, moved, render_page
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.policies.confirming import proof_for
from apps.workspaces.models import Workspace


@require_safe
def retention_list(request: AuthedRequest) -> HttpResponse:
    """What is kept, for how long, what holds it, what went, and what waits for a second person."""
    return _retention_page(request)


@require_POST
def retention_propose(request: AuthedRequest) -> HttpResponse:
    form = RetentionForm(request.POST, workspaces=_kept_by(request))
    if not form.is_valid():
        return _retention_page(request, retention=form)
    proposal = actions.propose_retention(by=request.user, now=timezone.now(), **form.cleaned_data)
    return moved(request, "compliance:proposal-detail", proposal.pk)


@require_POST
def cut_propose(request: AuthedRequest) -> HttpResponse:
    form = CutForm(request.POST, workspaces=_kept_by(request))
    if not form.is_valid():
        return _retention_page(request, cut=form)
    proposal = actions.propose_cut(by=request.user, now=timezone.now(), **form.cleaned_data)
    return moved(request, "compliance:proposal-detail", proposal.pk)


@require_POST
def hold_put(request: AuthedRequest) -> HttpResponse:
    form = HoldForm(request.POST, workspaces=_kept_by(request))
    if not form.is_valid():
        return _retention_page(request, hold=form)
    actions.put_hold(by=request.user, now=timezone.now(), **form.cleaned_data)
    messages.success(request, "The legal hold stands: nothing that it covers is cut or erased.")
    return moved(request, "compliance:retention")


@require_http_methods(["GET", "HEAD", "POST"])
def hold_detail(request: AuthedRequest, hold_id: UUID) -> HttpResponse:
    """One legal hold; a form to propose that it is lifted."""
    holds = LegalHold.objects.visible_in(request.rights.require_any("AUDIT_READ"))
    hold = get_object_or_404(holds.select_related("workspace", "put_by", "lifted_with__decided_by"), pk=hold_id)
    form = LiftForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        proposal = actions.propose_lift(hold, reason=form.cleaned_data["reason"], by=request.user, now=timezone.now())
        return moved(request, "compliance:proposal-detail", proposal.pk)
    may_keep = permissions.may_keep(request.user, hold.workspace_id)
    return render_page(request, "compliance/hold_detail.html", {"hold": hold, "form": form, "may_keep": may_keep})


@require_POST
def archive_take(request: AuthedRequest, cut_id: UUID) -> HttpResponseBase:
    """The archive of what was cut, as a file."""
    cuts = Cut.objects.visible_in(request.rights.require_any("AUDIT_EXPORT"))
    cut = get_object_or_404(cuts.exclude(archive=""), pk=cut_id)
    if not (path := path_of(cut.archive)).is_file():
        raise Http404
    audit.record_export(
        {"archive": cut.archive, "sha256": cut.archive_sha256}, form="zip", workspaces=(cut.workspace_id,),
        by=request.user, kind="retention.archive_taken", what=f"the archive of {cut}",
    )  # fmt: skip
    return FileResponse(path.open("rb"), as_attachment=True, filename=cut.archive)


@require_http_methods(["GET", "HEAD", "POST"])
def erasure_list(request: AuthedRequest) -> HttpResponse:
    """Whose data were erased, or are to be; a form to propose it."""
    workspaces = request.rights.require_any("AUDIT_READ")
    may_keep = permissions.may_keep(request.user, PLATFORM_WORKSPACE_ID)
    if request.method == "POST":
        may_keep.require()
    form = ErasureForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        proposal = actions.propose_erasure(by=request.user, now=timezone.now(), **form.cleaned_data)
        return moved(request, "compliance:proposal-detail", proposal.pk)
    erasures = Erasure.objects.visible_in(workspaces).select_related("proposal__proposed_by", "proposal__decided_by")
    proposed = _proposals(workspaces).filter(wish=Wish.ERASURE, state="OPEN")
    context = {
        "form": form,
        "may_keep": may_keep,
        "open": proposed[:50],
        "page": page_of(erasures, request.GET, moment="confirmed_at", size=20),
    }
    return render_page(request, "compliance/erasure_list.html", context, part="erasures")


@require_safe
def proposal_detail(request: AuthedRequest, proposal_id: UUID) -> HttpResponse:
    return _proposal_page(request, _proposal(request, proposal_id))


@require_POST
def proposal_decision(request: AuthedRequest, proposal_id: UUID) -> HttpResponse:
    proposal, form, now = _proposal(request, proposal_id), WishForm(request.POST), timezone.now()
    if not form.is_valid():
        return _proposal_page(request, proposal, form)
    comment = form.cleaned_data["comment"]
    if form.cleaned_data["choice"] == "CONFIRM":
        act = partial(_confirm, proposal, comment=comment, by=request.user, now=now)
        if error := try_confirmed(request, act, now=now):
            return kept(_proposal_page(request, proposal, form, error=error))
        messages.success(request, "It is confirmed. What takes longer goes on by itself; this page says how far it is.")
    else:
        actions.turn_down_proposal(proposal, comment=comment, by=request.user, now=now)
        messages.success(request, "It is turned down. Nothing was changed.")
    return moved(request, "compliance:proposal-detail", proposal.pk)


def _confirm(proposal: Proposal, confirmation: Confirmation | None, **given: Any) -> None:
    actions.confirm_proposal(proposal, confirmation=confirmation, **given)


def _retention_page(request: AuthedRequest, **bound: forms.Form) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_READ")
    keeps = tuple(pk for pk in workspaces if request.rights.may(Capability.AUDIT_KEEP, pk))
    owners, kept_for = Workspace.objects.visible_in(workspaces), retentions_of(workspaces)
    made = {
        name: bound.get(name) or form(workspaces=keeps)
        for name, form in (("retention", RetentionForm), ("cut", CutForm), ("hold", HoldForm))
    }
    holds = LegalHold.objects.visible_in(workspaces).select_related("workspace", "put_by")
    context = {
        **{f"{name}_form": form for name, form in made.items()},
        "form": next(iter(bound.values()), None),
        "kept": [(owner, kept_for[owner.pk]) for owner in owners],
        "holds": holds.standing()[:100],
        "cuts": Cut.objects.visible_in(workspaces).select_related("workspace", "proposal")[:50],
        "page": page_of(_proposals(workspaces).exclude(wish=Wish.ERASURE), request.GET, moment="proposed_at", size=20),
        "may_keep": request.rights.may_any(Capability.AUDIT_KEEP),
        "may_export": request.rights.may_any("AUDIT_EXPORT"),
    }
    return render_page(request, "compliance/retention.html", context, part="proposals")


def _proposal_page(
    request: AuthedRequest, proposal: Proposal, form: WishForm | None = None, *, error: str = ""
) -> HttpResponse:
    may_confirm = permissions.may_confirm(request.user, proposal)
    context = {
        "proposal": proposal,
        "form": form or WishForm(),
        "hold": LegalHold.objects.filter(pk=proposal.terms.get("hold")).first(),
        "person": User.objects.filter(pk=proposal.terms.get("person")).first(),
        "cut": Cut.objects.filter(proposal=proposal).first(),
        "erasure": Erasure.objects.filter(proposal=proposal).first(),
        "may_confirm": may_confirm,
        "proof": proof_for(request, actions.step_up(), now=timezone.now(), error=error) if may_confirm else None,
        "may_turn_down": permissions.may_keep(request.user, proposal.workspace_id),
        "is_own": proposal.proposed_by_id == request.user.pk,
    }
    status = refused_with(request) if error else 200
    return render_page(request, "compliance/proposal_detail.html", context, status=status)


def _kept_by(request: AuthedRequest) -> tuple[UUID, ...]:
    return request.rights.require_any(Capability.AUDIT_KEEP)


def _proposals(workspaces: tuple[UUID, ...]) -> QuerySet[Proposal]:
    found: QuerySet[Proposal] = Proposal.objects.visible_in(workspaces)
    return found.select_related("workspace", "proposed_by", "decided_by")


def _proposal(request: AuthedRequest, proposal_id: UUID) -> Proposal:
    return get_object_or_404(_proposals(request.rights.require_any("AUDIT_READ")), pk=proposal_id)
