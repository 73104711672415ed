"""A person answers for a finding: it may stay, for a reason and for a while."""

from datetime import datetime, timedelta

from django.db import transaction

from apps.accounts.confirmation import Confirmation
from apps.accounts.models import User
from apps.approvals.actions.settling import settle_for_service
from apps.audit import actions as audit
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.policies.clauses import Gate
from apps.policies.confirming import confirmed_with, step_up_of_production
from apps.policies.evidence import ACCEPTED_DAYS, accepted_days
from apps.policies.models import PolicyVersion
from apps.releases import permissions
from apps.releases.models import Acceptance, Finding, Service


class AcceptanceInvalid(Invalid):
    code = "acceptance_invalid"
    next_step = "Say a shorter time; it can be accepted anew then."


class AlreadyAccepted(Conflict):
    code = "already_accepted"


class AcceptanceOver(Conflict):
    """It was withdrawn, or has ended by itself."""

    code = "acceptance_over"


@transaction.atomic
def accept_finding(
    finding: Finding, *, reason: str, days: int, by: User, now: datetime, confirmation: Confirmation | None = None
) -> Acceptance:
    """This function will accept a finding for a number of days, in all releases of its service that hold it.

    Raises Denied: `by` does not answer for security there, or had a part in the release it was found in. Raises
    AcceptanceInvalid: for no or too many days. Raises AlreadyAccepted. Raises TextInvalid: for the reason.
    Raises NotConfirmed: approvals of Production are confirmed, and this is not.
    """
    release = finding.evidence.release
    service = Service.objects.locked().get(pk=release.service_id)
    permissions.may_accept(by, release).require()
    reason = one_line(reason, name="The reason", limit=300)
    longest = longest_acceptance()
    if not 1 <= days <= longest:
        raise AcceptanceInvalid(f"A finding is accepted for 1 to {longest} days, as the policies in force say.")
    proof = confirmed_with(step_up_of_production(), by, confirmation, now=now)
    _make_room(finding, service, by=by, now=now)
    acceptance = Acceptance.objects.create(
        workspace_id=service.workspace_id,
        service=service,
        rule=finding.rule,
        fingerprint=finding.fingerprint,
        severity=finding.severity,
        title=finding.title,
        place=finding.place,
        reason=reason,
        accepted_at=now,
        accepted_by=by,
        expires_at=now + timedelta(days=days),
    )
    _record("finding.accepted", acceptance, f"Accepted {finding} in {service} for {days} days", by=by, reason=reason,
            confirmed_with=proof)  # fmt: skip
    settle_for_service(service, now=now)
    return acceptance


@transaction.atomic
def withdraw_acceptance(acceptance: Acceptance, *, reason: str, by: User, now: datetime) -> Acceptance:
    """This function will end an acceptance early: from now on the finding counts.

    Raises Denied: `by` does not answer for security there. Raises AcceptanceOver. Raises TextInvalid: for the reason.
    """
    reason = one_line(reason, name="The reason", limit=300)
    service = Service.objects.locked().get(pk=acceptance.service_id)
    acceptance = Acceptance.objects.locked().get(pk=acceptance.pk)
    permissions.may_withdraw_acceptance(by, service).require()
    if not acceptance.lasts(now):
        raise AcceptanceOver(f"The {acceptance} has ended already.")
    _end(acceptance, reason, by=by, now=now)
    _record("acceptance.withdrawn", acceptance, f"Withdrew the {acceptance} in {service}", by=by, reason=reason)
    settle_for_service(service, now=now)
    return acceptance


def longest_acceptance() -> int:
    """This function will return how many days the policies in force let a finding be accepted for, the most patient
    one counting; each tier stops counting an acceptance after its own number.
    """
    policies = [version.rules for version in PolicyVersion.objects.filter(is_active=True)]
    days = [accepted_days(clause) for policy in policies for clause in policy.clauses_of(Gate.SECURITY_SCAN)]
    return max(days, default=ACCEPTED_DAYS)


def _make_room(finding: Finding, service: Service, *, by: User, now: datetime) -> None:
    """End what stood before and does not count here: it lapsed, was of something milder, or of who made this release.

    Raises AlreadyAccepted: it does count.
    """
    there = Acceptance.objects.filter(service=service, rule=finding.rule, fingerprint=finding.fingerprint)
    standing = there.filter(ended_at=None).select_related("accepted_by").first()
    if standing is None:
        return
    counts = permissions.counts(standing, severity=finding.severity, release=finding.evidence.release)
    if counts and standing.lasts(now):
        until = f"{standing.expires_at:%Y-%m-%d %H:%M} UTC"
        raise AlreadyAccepted(f"{standing.accepted_by} has accepted it already, until {until}.")
    _end(standing, "Accepted anew.", by=by, now=now)


def _end(acceptance: Acceptance, reason: str, *, by: User, now: datetime) -> None:
    Acceptance.objects.filter(pk=acceptance.pk, ended_at=None).update(ended_at=now, ended_by=by, end_reason=reason)
    acceptance.ended_at, acceptance.ended_by, acceptance.end_reason = now, by, reason


def _record(
    kind: str, acceptance: Acceptance, summary: str, *, by: User, reason: str, confirmed_with: str = ""
) -> None:
    audit.record(
        kind,
        by=by,
        target=acceptance,
        service_id=acceptance.service_id,
        summary=summary,
        reason=reason,
        after={
            "fingerprint": acceptance.fingerprint,
            "place": acceptance.place,
            "until": acceptance.lasts_until,
            **({"confirmed_with": confirmed_with} if confirmed_with else {}),
        },
    )
