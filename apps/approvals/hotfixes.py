"""Asks repositories about hotfixes, outside of any transaction: where they were cut, whether they are merged back."""

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.approvals.actions.facts import emergency_facts
from apps.approvals.actions.settling import lock, settle_locked, write
from apps.approvals.enums import WAITING
from apps.approvals.ledger import record
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.core.verdict import Conflict
from apps.incidents import actions as incident_actions
from apps.incidents.enums import DebtKind
from apps.incidents.models import Debt
from apps.integrations.git_repository import GitError, GitRepository, UnknownRef
from apps.policies.facts import Origin
from apps.releases.repositories import repository_of
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

MAIN, AT_ONCE = "HEAD", 50


@dataclass(frozen=True)
class Question:
    """Is the commit `older` in the history of `newer`? `about` is the promotion, or the debt, that waits for it."""

    about: UUID
    repository: GitRepository
    older: str
    newer: str


def look_at_hotfixes(workspace_id: UUID, *, now: datetime) -> None:
    """This function will ask what is not known of emergencies that wait, and of hotfixes that are to be merged back."""
    with workspace_scope([workspace_id]):
        cuts, merges = _cuts(workspace_id), _merges(workspace_id)
    origins = {question.about: (question.older, _origin(question)) for question in cuts}
    merged = [question for question in merges if _is_in_main(question)]
    for promotion_id, (older, origin) in origins.items():
        if origin is not None:
            with workspace_scope([workspace_id]):
                keep_origin(promotion_id, cut_from=older, origin=origin, now=now)
    for question in merged:
        with workspace_scope([workspace_id]):
            close_merged(question.about, commit=question.older, now=now)


@transaction.atomic
def keep_origin(promotion_id: UUID, *, cut_from: str, origin: Origin, now: datetime) -> None:
    """This function will write down where the release of a waiting emergency was cut, and judge it anew.

    Nothing is written of one that started or ended meanwhile, or of which the same was written by somebody quicker.
    """
    promotion = lock(promotion_id)
    if promotion.state not in WAITING or (promotion.cut_from, promotion.origin) == (cut_from, origin):
        return
    write(promotion, cut_from=cut_from, origin=origin)
    said = {
        Origin.PRODUCTION: "was cut from what Production runs",
        Origin.ELSEWHERE: "was not cut from what Production runs",
        Origin.UNTOLD: "can't be told to be cut from what Production runs",
    }
    record(
        promotion,
        "promotion.origin_found",
        f"is of a release that {said[origin]}, {cut_from[:12]}",
        by=SYSTEM,
        after={"cut_from": cut_from, "commit": promotion.release.commit, "origin": origin},
    )
    settle_locked(promotion, now=now)


def close_merged(debt_id: UUID, *, commit: str, now: datetime) -> None:
    """This function will close the debt of a hotfix that is in the main branch, unless a person was quicker."""
    words = f"The main branch of the repository contains {commit[:12]}."
    try:
        incident_actions.write_paid(Debt.objects.get(pk=debt_id), words=words, by=SYSTEM, now=now)
    except Conflict:
        return


def _cuts(workspace_id: UUID) -> list[Question]:
    waiting = Promotion.objects.waiting().filter(workspace_id=workspace_id, incident__isnull=False).with_subject()
    found = []
    for promotion in waiting:
        facts = emergency_facts(promotion)
        if facts is not None and facts.origin is None:
            repository = repository_of(promotion.release.service)
            found.append(Question(promotion.pk, repository, *facts.commits))
    return found


def _merges(workspace_id: UUID) -> list[Question]:
    owed = Debt.objects.unpaid().filter(workspace_id=workspace_id, kind=DebtKind.MERGE_BACK)
    return [
        Question(debt.pk, repository_of(debt.promotion.release.service), debt.promotion.release.commit, MAIN)
        for debt in owed.select_related("promotion__release__service").order_by("due_at")[:AT_ONCE]
        if debt.promotion
    ]


def _origin(question: Question) -> Origin | None:
    """Return what the repository says; None where it did not answer, so that it is asked again."""
    try:
        is_cut = question.repository.is_ancestor(question.older, question.newer)
    except UnknownRef:
        return Origin.UNTOLD
    except GitError as error:
        log.warning("where %s was cut is asked again: %s", question.newer, error)
        return None
    return Origin.PRODUCTION if is_cut else Origin.ELSEWHERE


def _is_in_main(question: Question) -> bool:
    try:
        main = question.repository.resolve(question.newer)
        return question.repository.is_ancestor(question.repository.resolve(question.older), main)
    except GitError as error:
        log.warning("whether %s is merged back can't be told: %s", question.older, error)
        return False
