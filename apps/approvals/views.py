from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.enums import Capability
from apps.accounts.permissions import NotConfirmed
from apps.accounts.proving import keep_proof, proof_of, refused_with, try_confirmed
from apps.accounts.requests import AuthedRequest
from apps.approvals import actions, permissions
from apps.approvals.absences import delegation_rows, delegations_of, lendable_by
from apps.approvals.checklists import by_phase, mine_in, shown_checklists
from apps.approvals.forms import (
    AcceptanceForm,
    DecisionForm,
    DelegationForm,
    PromotionForm,
    TickForm,
    TraitForm,
    WaiverForm,
    WithdrawalForm,
)
from apps.approvals.inbox import inbox, inbox_entries, told_to, waiting_for_others
from apps.approvals.models import ChecklistLine, Promotion, Tick, Waiver
from apps.approvals.page import changes_in, promotion_page, shown_box
from apps.approvals.preview import preview
from apps.approvals.proof import decision_proof
from apps.approvals.simulation import simulate
from apps.core import live
from apps.core.form_fields import not_offered
from apps.core.keyset import page_of
from apps.core.pages import kept, moved, render_page, wants_fragment
from apps.core.verdict import Denied, Refusal
from apps.environments.models import Lane
from apps.policies.checklists import Phase
from apps.policies.clauses import WAIVABLE
from apps.policies.confirming import proof_for, step_up_of_production
from apps.policies.models import PolicyProposal
from apps.releases import permissions as release_permissions
from apps.releases.models import Acceptance, Finding, Release
from apps.releases.traits import Trait
from apps.workspaces import rights

OTHERS_SHOWN = 50
# Of so many that wait, those that wait for others are shown.
OTHERS_READ = 200
TOLD_SHOWN = 10
# Of so many lines the checklists are told.
LINES_READ = 200


@require_safe
def inbox_page(request: AuthedRequest) -> HttpResponse:
    now = timezone.now()
    awaited = inbox(request.user, request.workspaces, now=now)
    mine = page_of(awaited, request.GET, moment="requested_at")
    others = list(waiting_for_others(awaited, request.workspaces, among=OTHERS_READ)[: OTHERS_SHOWN + 1])
    entries = inbox_entries([*mine.rows, *others], request.user, now=now)
    context = {
        "page": mine,
        "to_tick": mine_in(request.user, request.workspaces, now=now, most=LINES_READ)[:OTHERS_SHOWN],
        "told": page_of(told_to(request.user, request.workspaces), QueryDict(), moment="told_at", size=TOLD_SHOWN),
        "mine": entries[: len(mine.rows)],
        "count": f"{len(mine.rows)}+" if mine.older else len(mine.rows),
        "others": entries[len(mine.rows) :][:OTHERS_SHOWN],
        "is_cut": len(others) > OTHERS_SHOWN,
        # Fewer wait, as far as this tells, than are read.
        "read": OTHERS_READ if mine.older or mine.newer else None,
        "stream": live.stream("navigation"),
    }
    return render_page(request, "approvals/inbox.html", context, part="inbox")


@require_safe
def unanswered_list(request: AuthedRequest) -> HttpResponse:
    told = page_of(told_to(request.user, request.workspaces), request.GET, moment="told_at")
    return render_page(request, "approvals/unanswered_list.html", {"told": told}, part="unanswered")


@require_safe
def promotion_detail(request: AuthedRequest, number: int) -> HttpResponse:
    return _promotion_page(request, _visible(request, number))


@require_http_methods(["GET", "HEAD", "POST"])
def promotion_create(request: AuthedRequest, release_id: UUID, lane_id: UUID) -> HttpResponse:
    release = get_object_or_404(
        Release.objects.readable_in(request.workspaces).select_related("service"), pk=release_id
    )
    lane = get_object_or_404(
        Lane.objects.visible_in(request.workspaces).standing().with_cell(), pk=lane_id, service=release.service
    )
    right = rights.may(request.user, Capability.PROMOTION_REQUEST, lane.workspace_id, lane.environment)
    right.require()
    form = PromotionForm(request.POST or None, lane=lane, initial={"incident": request.GET.get("incident")})
    if request.method != "POST" or not form.is_valid():
        request.refusal = not_offered(form, "incident")
        return _create_page(request, release, lane, form)
    now, starts_by_itself = timezone.now(), not form.cleaned_data["waits"]
    promotion = actions.request_promotion(
        release, lane=lane, by=request.user, now=now, reason=form.cleaned_data["reason"],
        starts_by_itself=starts_by_itself, incident=form.cleaned_data.get("incident"),
    )  # fmt: skip
    messages.success(request, f"Asked for {release.service} {release.version} in {lane.environment}.")
    return redirect("approvals:promotion-detail", promotion.number)


@require_POST
def decision_create(request: AuthedRequest, number: int) -> HttpResponse:
    promotion = _visible(request, number)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        request.refusal = not_offered(form, "requirement", "plan_hash", "choice")
        return _promotion_page(request, promotion, form)
    given = dict(form.cleaned_data)
    requirement = get_object_or_404(promotion.requirements, pk=given.pop("requirement"))
    now = timezone.now()
    if (attempt := proof_of(request, now=now)).error:
        return kept(_promotion_page(request, promotion, form, error=attempt.error))
    try:
        decided = actions.decide(requirement, by=request.user, now=now, confirmation=attempt.confirmation, **given)
    except (actions.StalePlan, NotConfirmed) as refusal:
        # Told beside the form, so that the comment stays and the difference stands above the same buttons. A proof
        # that was accepted is used up: the session remembers it.
        keep_proof(request, attempt.confirmation)
        return kept(_promotion_page(request, promotion, form, refusal=refusal))
    keep_proof(request, attempt.confirmation)
    verb = "approved" if given["choice"] == "APPROVE" else "rejected"
    messages.success(request, f"You {verb} {decided.subject}.")
    return moved(request, "approvals:promotion-detail", number)


@require_http_methods(["GET", "HEAD", "POST"])
def withdrawal(request: AuthedRequest, number: int) -> HttpResponse:
    promotion = _visible(request, number)
    operate = rights.may(
        request.user, Capability.DEPLOYMENT_OPERATE, promotion.workspace_id, promotion.lane.environment
    )
    permissions.may_withdraw(request.user, promotion, right=operate).require()
    form = WithdrawalForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "approvals/withdrawal.html", {"promotion": promotion, "form": form})
    actions.withdraw(promotion, by=request.user, now=timezone.now(), **form.cleaned_data)
    messages.success(request, f"Promotion #{number} is withdrawn.")
    return redirect("approvals:promotion-detail", number)


@require_http_methods(["GET", "HEAD", "POST"])
def delegations(request: AuthedRequest) -> HttpResponse:
    now = timezone.now()
    lendable = lendable_by(request.user, request.workspaces)
    form = DelegationForm(request.POST or None, lendable=lendable, by=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            given = actions.delegate(**form.cleaned_data, by=request.user, now=now)
        except actions.SpanInvalid as refusal:
            form.add_error("ends_at", refusal.sentence)
        else:
            messages.success(request, f"{given.delegate} stands in for you as {given.membership.role}.")
            return redirect("approvals:delegation-list")
    request.refusal = not_offered(form, "membership", "to")
    page = page_of(delegations_of(request.user, request.workspaces), request.GET, moment="given_at")
    context = {"page": page, "rows": delegation_rows(page.rows, request.user, now=now), "form": form,
               "may_lend": lendable.exists()}  # fmt: skip
    return render_page(request, "approvals/delegation_list.html", context, status=422 if form.errors else 200)


@require_POST
def delegation_end(request: AuthedRequest, delegation_id: UUID) -> HttpResponse:
    delegation = get_object_or_404(delegations_of(request.user, request.workspaces), pk=delegation_id)
    ended = actions.end_delegation(delegation, by=request.user, now=timezone.now())
    messages.success(request, f"The delegation of {ended.sentence} has ended.")
    return redirect("approvals:delegation-list")


@require_http_methods(["GET", "HEAD", "POST"])
def finding_acceptance(request: AuthedRequest, finding_id: UUID) -> HttpResponse:
    findings = Finding.objects.visible_in(request.workspaces).select_related("evidence__release__service")
    finding = get_object_or_404(findings, pk=finding_id)
    release = finding.evidence.release
    release_permissions.may_accept(request.user, release).require()
    form, now, error = AcceptanceForm(request.POST or None, longest=actions.longest_acceptance()), timezone.now(), ""
    is_said = request.method == "POST" and form.is_valid()
    if is_said:
        act = partial(actions.accept_finding, finding, by=request.user, now=now, **form.cleaned_data)
        error = try_confirmed(request, lambda confirmation: act(confirmation=confirmation), now=now)
    if error or not is_said:
        proof = proof_for(request, step_up_of_production(), now=now, error=error)
        context = {"finding": finding, "release": release, "form": form, "proof": proof}
        return _asked_again(request, "approvals/finding_acceptance.html", context, error)
    messages.success(request, f"{finding.rule} is accepted for {form.cleaned_data['days']} days.")
    return redirect("releases:finding-list", release.service.slug, release.version)


@require_http_methods(["GET", "HEAD", "POST"])
def acceptance_withdrawal(request: AuthedRequest, acceptance_id: UUID) -> HttpResponse:
    acceptances = Acceptance.objects.visible_in(request.workspaces).select_related("service", "accepted_by")
    acceptance = get_object_or_404(acceptances, pk=acceptance_id)
    release_permissions.may_withdraw_acceptance(request.user, acceptance.service).require()
    form = WithdrawalForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"acceptance": acceptance, "form": form}
        return render_page(request, "approvals/acceptance_withdrawal.html", context)
    actions.withdraw_acceptance(acceptance, by=request.user, now=timezone.now(), **form.cleaned_data)
    messages.success(request, f"{acceptance.rule} counts again.")
    return redirect("releases:acceptance-list", acceptance.service.slug)


@require_http_methods(["GET", "HEAD", "POST"])
def waiver_create(request: AuthedRequest, number: int, gate: str) -> HttpResponse:
    promotion, now = _visible(request, number), timezone.now()
    shown = shown_box(promotion, by=request.user, now=now)
    if gate not in WAIVABLE:
        raise Http404
    role, result = shown.waivable.get(gate), next((row for row in shown.open_gates if row.name == gate), None)
    if result is None or role is None:
        raise actions.NothingToWaive("It holds back nothing, or no role may waive it there.")
    holds_role = rights.has_role(request.user, role, promotion.workspace_id)
    permissions.may_waive(request.user, role, promotion, holds_role=holds_role).require()
    form, error = WaiverForm(request.POST or None, initial={"plan_hash": shown.plan_hash}), ""
    is_said = request.method == "POST" and form.is_valid()
    if is_said:
        act = partial(actions.waive, promotion, gate=gate, by=request.user, now=now, **form.cleaned_data)
        error = try_confirmed(request, lambda confirmation: act(confirmation=confirmation), now=now)
    if error or not is_said:
        proof = proof_for(request, shown.strictest_step_up, now=now, error=error)
        context = {"promotion": promotion, "result": result, "form": form, "proof": proof}
        return _asked_again(request, "approvals/waiver_create.html", context, error)
    messages.success(request, f"{result.title} is waived for promotion #{number}.")
    return redirect("approvals:promotion-detail", number)


@require_http_methods(["GET", "HEAD", "POST"])
def waiver_withdrawal(request: AuthedRequest, waiver_id: UUID) -> HttpResponse:
    waivers = Waiver.objects.visible_in(request.workspaces).select_related("promotion", "role", "granted_by")
    waiver = get_object_or_404(waivers, pk=waiver_id)
    number = waiver.promotion.number
    holds_role = rights.has_role(request.user, waiver.role_id, waiver.workspace_id)
    permissions.may_withdraw_waiver(request.user, waiver, holds_role=holds_role).require()
    form = WithdrawalForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "approvals/waiver_withdrawal.html", {"waiver": waiver, "form": form})
    actions.withdraw_waiver(waiver, by=request.user, now=timezone.now(), **form.cleaned_data)
    messages.success(request, f"{waiver.title} counts again for promotion #{number}.")
    return redirect("approvals:promotion-detail", number)


@require_http_methods(["GET", "HEAD", "POST"])
def trait_create(request: AuthedRequest, release_id: UUID) -> HttpResponse:
    releases = Release.objects.readable_in(request.workspaces).select_related("service")
    release = get_object_or_404(releases, pk=release_id)
    release_permissions.may_declare(request.user, release).require()
    form = TraitForm(request.POST or None, declared=release.traits.values_list("trait", flat=True))
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "approvals/trait_create.html", {"release": release, "form": form})
    declared = actions.declare_trait(release, by=request.user, now=timezone.now(), **form.cleaned_data)
    messages.success(request, f"{release.service} {release} is {Trait(declared.trait).phrase}.")
    return redirect("releases:release-detail", release.service.slug, release.version)


@require_POST
def tick_create(request: AuthedRequest, line_id: UUID) -> HttpResponse:
    line = get_object_or_404(ChecklistLine.objects.visible_in(request.workspaces), pk=line_id)
    form, now = TickForm(request.POST), timezone.now()
    if not form.is_valid():
        raise actions.TickInvalid(" ".join(str(error) for errors in form.errors.values() for error in errors))
    promotion = actions.tick(line, by=request.user, now=now, **form.cleaned_data)
    if wants_fragment(request):
        if line.phase == Phase.PRE:
            return _promotion_page(request, promotion)
        checklists = shown_checklists(promotion, request.user, now=now)
        return render_page(request, "approvals/_checklists.html", {"checklists": by_phase(checklists)[Phase.POST]})
    messages.success(request, f"Ticked: {line}")
    return redirect(f"{reverse('approvals:promotion-detail', args=[promotion.number])}#line-{line.pk}")


@require_http_methods(["GET", "HEAD", "POST"])
def tick_withdrawal(request: AuthedRequest, tick_id: UUID) -> HttpResponse:
    ticks = Tick.objects.visible_in(request.workspaces).with_people().select_related("line")
    tick = get_object_or_404(ticks, pk=tick_id)
    promotion = get_object_or_404(Promotion.objects.with_subject(), pk=tick.promotion_id)
    form, now = WithdrawalForm(request.POST or None), timezone.now()
    if request.method != "POST" or not form.is_valid():
        checklists = shown_checklists(promotion, request.user, now=now)
        may_take_back = any(row.tick == tick and row.may_take_back for each in checklists for row in each.rows)
        if not may_take_back:
            raise Denied("Only who ticked the line, or could tick it, takes a tick back, and only before the start.")
        context = {"promotion": promotion, "tick": tick, "form": form}
        return render_page(request, "approvals/tick_withdrawal.html", context)
    actions.take_back(tick, by=request.user, now=now, **form.cleaned_data)
    messages.success(request, f"The line is open again: {tick.line}")
    return redirect("approvals:promotion-detail", promotion.number)


@require_safe
def proposal_simulation(request: AuthedRequest, proposal_id: UUID) -> HttpResponse:
    proposals = PolicyProposal.objects.visible_in(request.workspaces).select_related("based_on", "proposed_by")
    proposal = get_object_or_404(proposals, pk=proposal_id)
    context = {"proposal": proposal, "simulation": simulate(proposal, request.workspaces)}
    return render_page(request, "approvals/proposal_simulation.html", context)


def _asked_again(request: AuthedRequest, template: str, context: dict[str, Any], error: str) -> HttpResponse:
    """Answer with a form; where a confirmation did not count, it is said there, and what was counted stays so."""
    if not error:
        return render_page(request, template, context)
    return kept(render_page(request, template, context, status=refused_with(request)))


def _visible(request: AuthedRequest, number: int) -> Promotion:
    return get_object_or_404(Promotion.objects.visible_in(request.workspaces).with_subject(), number=number)


def _promotion_page(
    request: AuthedRequest,
    promotion: Promotion,
    form: DecisionForm | None = None,
    *,
    refusal: Refusal | None = None,
    error: str = "",
) -> HttpResponse:
    stream = live.stream("promotion", subject=promotion.pk) if promotion.is_open else None
    now = timezone.now()
    context = {**promotion_page(promotion, by=request.user, now=now), "decision_form": form, "stream": stream}
    if isinstance(refusal, NotConfirmed):
        error = refusal.sentence
    else:
        context["told"] = refusal
    context["proof"] = decision_proof(request, context["shown"], now=now, error=error)
    status = 422 if form is not None else 200
    if refusal is not None:
        request.refusal, status = refusal, refusal.status
    return render_page(request, "approvals/promotion_detail.html", context, part="gate-box", status=status)


def _create_page(request: AuthedRequest, release: Release, lane: Lane, form: PromotionForm) -> HttpResponse:
    planned = preview(release, lane, incident=form.chosen_incident(), now=timezone.now())
    values = planned.promotion.configuration.values if planned else {}
    context = {
        "release": release, "lane": lane, "form": form, "planned": planned,
        "changes": changes_in(lane, release, values),
        "there": Promotion.objects.open().filter(release=release, lane=lane).first(),
    }  # fmt: skip
    return render_page(request, "approvals/promotion_create.html", context)
