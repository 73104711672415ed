from datetime import UTC
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.confirmation import Confirmation
from apps.accounts.proving import refused_with, try_confirmed
from apps.accounts.requests import AuthedRequest
from apps.core import pdf
from apps.core.keyset import page_of
from apps.core.pages import attachment, kept, render_page
from apps.environments.enums import Tier
from apps.policies import actions, markdown, page, permissions, repository, sources
from apps.policies.confirming import proof_for, step_up_of_production
from apps.policies.forms import CommitForm, ProposalDecisionForm, ProposalForm, SinceForm
from apps.policies.models import PolicyProposal, PolicyVersion
from apps.policies.strategy import Strategy


@require_safe
def policy_list(request: AuthedRequest) -> HttpResponse:
    """The version in force of each tier, in the order of the tiers, and what was proposed."""
    in_force = {version.tier: version for version in _versions(request).filter(is_active=True)}
    proposals = PolicyProposal.objects.visible_in(request.workspaces).select_related("proposed_by", "decided_by")
    may_propose = permissions.may_propose(request.user)
    context = {
        "versions": [in_force[tier] for tier in Tier.values if tier in in_force],
        "committed": repository.otherwise(in_force.values()) if may_propose else [],
        "page": page_of(proposals, request.GET, moment="proposed_at", size=20),
    }
    return render_page(request, "policies/policy_list.html", context, part="proposals")


@require_safe
def policy_detail(request: AuthedRequest, tier: str, number: int | None = None) -> HttpResponse:
    """The version in force, or one that was."""
    versions = _versions(request).filter(tier=_tier(tier))
    which: dict[str, Any] = {"is_active": True} if number is None else {"number": number}
    version = get_object_or_404(versions.select_related("created_by", "proposal__decided_by"), **which)
    before = _compared_with(request, version)
    context = {
        "version": version,
        "before": before,
        **(page.differences(before.document, version.document) if before else {}),
        "page": page_of(versions, request.GET, moment="created_at", size=20),
        "may_propose": permissions.may_propose(request.user),
        **page.policy_page(version.document),
    }
    return render_page(request, "policies/policy_detail.html", context, part="versions")


@require_safe
def strategy(request: AuthedRequest) -> HttpResponse:
    """The strategy document: what the policies in force say, in the order in which it is read."""
    return render_page(request, "policies/strategy.html", {"strategy": _strategy(request)})


@require_safe
def strategy_markdown(request: AuthedRequest) -> HttpResponse:
    return attachment(markdown.written(_strategy(request)), "text/markdown; charset=utf-8", "strategy.md")


@require_safe
def strategy_pdf(request: AuthedRequest) -> HttpResponse:
    context = {"strategy": _strategy(request)}
    with timezone.override(UTC):
        html = render_to_string("policies/strategy_print.html", context)
    return attachment(pdf.printed(html), "application/pdf", "strategy.pdf")


@require_safe
def policy_source(request: AuthedRequest, tier: str, number: int) -> HttpResponse:
    version = get_object_or_404(_versions(request), tier=_tier(tier), number=number)
    text = sources.written(version.document, schema_url=_schema(request))
    return attachment(text, "application/yaml; charset=utf-8", f"{tier}-{number}.yaml")


@require_http_methods(["GET", "HEAD", "POST"])
def proposal_create(request: AuthedRequest, tier: str) -> HttpResponse:
    current = get_object_or_404(_versions(request), tier=_tier(tier), is_active=True)
    permissions.may_propose(request.user).require()
    text = sources.written(current.document, schema_url=_schema(request))
    form = ProposalForm(request.POST or None, initial={"source": text})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            proposal = actions.propose(
                given["source"], tier=current.tier, reason=given["reason"], by=request.user, now=timezone.now()
            )
        except sources.InvalidSource as refusal:
            for found in refusal.mistakes:
                form.add_error("source", f"Line {found.line}, column {found.column}: {found.reason}")
        except actions.SameAsInForce as refusal:
            form.add_error("source", f"{refusal.sentence} {refusal.next_step}")
        else:
            messages.success(request, "It is proposed. Somebody else has to put it in force.")
            return redirect("policies:proposal-detail", proposal.pk)
    return render_page(request, "policies/proposal_create.html", {"form": form, "version": current})


@require_http_methods(["GET", "HEAD", "POST"])
def commit_propose(request: AuthedRequest, tier: str, commit: str) -> HttpResponse:
    """What a commit of the policies' repository says of a tier, beside what is in force, to be proposed as it is."""
    current = get_object_or_404(_versions(request), tier=_tier(tier), is_active=True)
    permissions.may_propose(request.user).require()
    written = repository.at(current.tier, commit)
    form = CommitForm(request.POST or None, initial={"reason": written.commit.subject})
    if request.method == "POST" and form.is_valid():
        proposal = actions.propose_commit(
            commit, tier=current.tier, reason=form.cleaned_data["reason"], by=request.user, now=timezone.now()
        )
        messages.success(request, "It is proposed. Somebody else has to put it in force.")
        return redirect("policies:proposal-detail", proposal.pk)
    context = {
        "form": form,
        "version": current,
        "written": written,
        **(page.differences(current.document, written.document) if written.document else {}),
    }
    return render_page(request, "policies/commit_propose.html", context)


@require_safe
def proposal_detail(request: AuthedRequest, proposal_id: UUID) -> HttpResponse:
    return _proposal_page(request, _proposal(request, proposal_id))


@require_POST
def proposal_decision(request: AuthedRequest, proposal_id: UUID) -> HttpResponse:
    proposal = _proposal(request, proposal_id)
    form = ProposalDecisionForm(request.POST)
    if not form.is_valid():
        return _proposal_page(request, proposal, form)
    comment, now = form.cleaned_data["comment"], timezone.now()
    if form.cleaned_data["choice"] == "ACTIVATE":
        error = try_confirmed(request, partial(_activate, proposal, comment=comment, by=request.user, now=now), now=now)
        if error:
            return kept(_proposal_page(request, proposal, form, error=error))
        messages.success(request, "It is in force: what waits is judged by it now.")
        return redirect("policies:policy-detail", proposal.tier.lower())
    actions.turn_down(proposal, comment=comment, by=request.user, now=now)
    messages.success(request, "It does not come into force.")
    return redirect("policies:proposal-detail", proposal.pk)


def _activate(proposal: PolicyProposal, confirmation: Confirmation | None, **given: Any) -> None:
    actions.activate(proposal, confirmation=confirmation, **given)


def _proposal_page(
    request: AuthedRequest, proposal: PolicyProposal, form: ProposalDecisionForm | None = None, *, error: str = ""
) -> HttpResponse:
    in_force = get_object_or_404(_versions(request), tier=proposal.tier, is_active=True)
    context = {
        "proposal": proposal,
        "form": form or ProposalDecisionForm(),
        "in_force": in_force,
        "is_overtaken": proposal.state == "OPEN" and in_force.pk != proposal.based_on_id,
        **page.differences(proposal.based_on.document, proposal.document),
        "may_activate": (may_activate := permissions.may_activate(request.user, proposal)),
        "proof": proof_for(request, step_up_of_production(), now=timezone.now(), error=error) if may_activate else None,
        "may_turn_down": permissions.may_propose(request.user),
        "is_own": proposal.proposed_by_id == request.user.pk,
        **page.policy_page(proposal.document),
    }
    return render_page(
        request, "policies/proposal_detail.html", context, status=refused_with(request) if error else 200
    )


def _compared_with(request: AuthedRequest, version: PolicyVersion) -> PolicyVersion | None:
    """Return the version that the address names, else the one before; None for the first."""
    form = SinceForm(request.GET)
    if not form.is_valid():
        raise Http404
    others, since = _versions(request).filter(tier=version.tier), form.cleaned_data["since"]
    return get_object_or_404(others, number=since) if since else others.filter(number=version.number - 1).first()


def _strategy(request: AuthedRequest) -> Strategy:
    in_force = _versions(request).filter(is_active=True)
    return page.strategy_in_force(in_force.select_related("created_by", "proposal__decided_by"))


def _versions(request: AuthedRequest) -> Any:
    return PolicyVersion.objects.readable_in(request.workspaces)


def _proposal(request: AuthedRequest, proposal_id: UUID) -> PolicyProposal:
    found = PolicyProposal.objects.visible_in(request.workspaces)
    return get_object_or_404(found.select_related("based_on", "proposed_by", "decided_by", "version"), pk=proposal_id)


def _tier(word: str) -> str:
    if word.upper() not in Tier.values or not word.islower():
        raise Http404
    return word.upper()


def _schema(request: AuthedRequest) -> str:
    # Without the hash that changes with the file: texts that name it are kept for years.
    return request.build_absolute_uri(f"{settings.STATIC_URL}schemas/policy-1.json")
