"""Lines that jobs tick: the newest word on a line, of this release in this environment, ticks it or takes that back."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch
from django.db.models.fields.json import KT

from apps.approvals.actions.lines import details_of, end_tick, keep_tick
from apps.approvals.enums import WAITING
from apps.approvals.ledger import record
from apps.approvals.models import ChecklistLine, Promotion, Tick
from apps.approvals.transitions import tell
from apps.audit.actors import SYSTEM, Actor
from apps.environments.models import Environment
from apps.policies.checklists import Phase, lines_for_jobs
from apps.policies.models import PolicyVersion
from apps.releases.enums import EvidenceKind
from apps.releases.models import Evidence, Release

Name = tuple[str, str]


@dataclass(frozen=True)
class Word:
    """What a job said of one line, and the report that says it."""

    evidence: Evidence
    is_done: bool
    proof: str


def known_lines(release: Release, environment: Environment) -> dict[Name, bool]:
    """This function will say which lines there are for a release in an environment, and whether a job may tick them.

    Shapes: by the ids of checklist and line: those of the policy in force, and what its promotions were asked for.
    """
    version = PolicyVersion.objects.in_force(environment.tier).first()
    known = lines_for_jobs(version.rules) if version else {}
    asked = ChecklistLine.objects.standing().filter(
        promotion__release_id=release.pk, promotion__lane__environment_id=environment.pk
    )
    for checklist, line, job in asked.values_list("checklist", "line", "job"):
        known[checklist, line] = known.get((checklist, line), False) or job
    return known


def follow_jobs(promotion: Promotion, *, by: Actor = SYSTEM, now: datetime) -> None:
    """This function will tick what jobs report as done, and void the ticks that they took back.

    Before the start while the promotion waits, afterwards what it is owed. What a person ticked stays, and what a
    person took back needs a newer word. Shapes: the promotion comes locked; `by` is who brought the word, where it has
    just come. Two queries where the policy lets jobs tick lines, and one for each report that is looked at.
    """
    phase = Phase.PRE if promotion.state in WAITING else Phase.POST
    ticks = Prefetch("ticks", Tick.objects.with_people())
    lines = promotion.checklist_lines.standing().of_phase(phase).filter(job=True).prefetch_related(ticks)
    found = {(line.checklist, line.line): line for line in lines.select_related("role")}
    if not found:
        return
    refused = set(_taken_back(promotion))
    for name, word in _newest_words(promotion, found).items():
        line = found[name]
        tick = next((tick for tick in line.ticks.all() if tick.voided_at is None), None)
        if word.is_done and tick is None and (*name, word.evidence.pk) not in refused:
            _tick(promotion, line, word, by=by, now=now)
        elif not word.is_done and tick is not None and tick.evidence is not None:
            _take_back(promotion, line, tick, word, by=by, now=now)


def _newest_words(promotion: Promotion, names: Collection[Name]) -> dict[Name, Word]:
    """Return the newest word on each line, by when the jobs say that it was so."""
    release = promotion.release
    reports = Evidence.objects.filter(
        release_id=release.pk,
        environment_id=promotion.lane.environment_id,
        kind=EvidenceKind.CHECKLIST,
        artifact_digest=release.artifact_digest,
    )
    found: dict[Name, Word] = {}
    for report in reports.order_by(KT("figures__at").desc(), "-received_at", "-pk").iterator(chunk_size=50):
        for line in report.figures["lines"]:
            name = line["checklist"], line["line"]
            if name in names:
                found.setdefault(name, Word(report, line["done"], line["proof"]))
        if len(found) == len(names):
            break
    return found


def _taken_back(promotion: Promotion) -> list[tuple[str, str, UUID]]:
    """Return whose word people did not let stand, line by line."""
    ticks = promotion.ticks.filter(evidence__isnull=False, voided_by__isnull=False)
    return list(ticks.values_list("line__checklist", "line__line", "evidence_id"))


def _tick(promotion: Promotion, line: ChecklistLine, word: Word, *, by: Actor, now: datetime) -> None:
    keep_tick(
        Tick(
            line=line,
            promotion=promotion,
            note=word.proof,
            plan_hash=promotion.plan_hash,
            ticked_at=now,
            evidence=word.evidence,
        ),
        by=by,
    )
    tell(promotion)


def _take_back(promotion: Promotion, line: ChecklistLine, tick: Tick, word: Word, *, by: Actor, now: datetime) -> None:
    why = f"{word.evidence.received_from_label} (a job) took it back: {word.proof}"
    if not end_tick(tick, why, by=None, now=now):
        return
    tick.line = line
    record(
        promotion,
        "tick.taken_back",
        f"lost the tick of {tick.people} at “{line}”. {why}",
        by=by,
        reason=word.proof,
        approval=details_of(tick) | {"taken_back_by": str(word.evidence.pk)},
    )
    tell(promotion)
