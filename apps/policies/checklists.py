"""Checklists: what is ticked off before a deployment starts and after it ended, as clauses of the gate `checklist`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from apps.policies.clauses import Clause, Gate, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.facts import Facts, LineFacts
from apps.policies.judgement import Judgement, listed, moment, not_asked

NAMED = 3
OR_A_JOB = ", or a job"


class Phase(StrEnum):
    """When the lines of a checklist are ticked: before the deployment starts, or after it ended."""

    PRE = "PRE"
    POST = "POST"


@dataclass(frozen=True)
class Line:
    """One thing to see to. Who holds `role` ticks it, and with `job` a job may, too; or it ticks itself once the gate
    of `clause` lets pass.
    """

    id: str
    text: str
    role: str = ""
    clause: str = ""
    job: bool = False


@dataclass(frozen=True)
class Checklist:
    """`clause` is the id of the rule that asks for it; after the deployment `hours` are left for it (None before)."""

    id: str
    title: str
    phase: Phase
    lines: tuple[Line, ...]
    clause: str
    hours: int | None = None


@dataclass(frozen=True)
class Answer:
    """How a line stands: `said` is by whom it is ticked and why, or what it waits for; `who` can change that."""

    line: Line
    is_ticked: bool
    said: str
    who: str = ""


def checklist_of(clause: Clause) -> Checklist:
    """This function will read the checklist that a clause of the gate `checklist` names."""
    rows = clause.settings["lines"]
    return Checklist(
        id=clause.word("checklist"),
        title=clause.word("title"),
        phase=Phase(clause.word("phase")),
        lines=tuple(Line(**row) for row in rows) if isinstance(rows, list) else (),
        clause=clause.id,
        hours=clause.number("hours") if "hours" in clause.settings else None,
    )


def checklists_of(policy: TierPolicy, phase: Phase) -> tuple[Checklist, ...]:
    """This function will return the checklists of a policy for before or after the deployment."""
    found = (checklist_of(clause) for clause in policy.clauses_of(Gate.CHECKLIST))
    return tuple(checklist for checklist in found if checklist.phase == phase)


def before_start(policy: TierPolicy, facts: Facts, judged: Callable[[Gate], Judgement]) -> Judgement:
    """This function will say whether every line is ticked that has to be before the start.

    Shapes: `judged` says what another gate says; a line that ticks itself goes by it.
    """
    checklists = checklists_of(policy, Phase.PRE)
    if not checklists:
        return not_asked(policy, "for a checklist before the start")
    said = {(line.checklist, line.line): line for line in facts.lines}
    answers = [
        by_gate(line, policy, judged) if line.clause else _by_person(line, said.get((checklist.id, line.id)), facts)
        for checklist in checklists
        for line in checklist.lines
    ]
    evidence = tuple(f"{answer.line.text}: {answer.said}" for answer in answers)
    missing = [answer for answer in answers if not answer.is_ticked]
    tally = f"{len(answers) - len(missing)} of {len(answers)} lines ticked."
    if not missing:
        return Judgement(Outcome.PASSED, tally, evidence)
    texts = [answer.line.text for answer in missing[:NAMED]]
    if len(missing) > NAMED:
        texts.append(f"{len(missing) - NAMED} more")
    who = listed(list(dict.fromkeys(answer.who for answer in missing if answer.who)) or [""])
    return Judgement(Outcome.WAITING, f"{tally} Missing: {listed(texts)}.", evidence, who=who)


def by_gate(line: Line, policy: TierPolicy, judged: Callable[[Gate], Judgement]) -> Answer:
    """This function will say how a line that ticks itself stands; one whose clause is set aside needs no tick."""
    clause = next((clause for clause in policy.clauses if clause.id == line.clause), None)
    if clause is None:
        return Answer(line, is_ticked=True, said=f"not needed, since {line.clause} is not asked for here")
    judgement = judged(clause.gate)
    return Answer(line, judgement.outcome.lets_pass, f"by {line.clause}: {judgement.sentence}", judgement.who)


def _by_person(line: Line, found: LineFacts | None, facts: Facts) -> Answer:
    who = found.label if found else line.role.replace("_", " ").capitalize()
    tick = found.tick if found else None
    if tick is None or tick.plan_hash != facts.plan_hash or not tick.holds_role:
        return Answer(line, is_ticked=False, said=f"waits for {who}{OR_A_JOB if line.job else ''}", who=who)
    note = f": “{tick.note}”" if tick.note else ""
    return Answer(line, is_ticked=True, said=f"ticked by {tick.by}, {moment(tick.at)}{note}")


def lines_in_words(clause: Clause, roles: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """This function will name the lines of a clause's checklist, if it has one, each with who ticks it.

    Shapes: `roles` holds the label of each role's code.
    """
    if clause.gate != Gate.CHECKLIST:
        return ()
    lines = checklist_of(clause).lines
    return tuple((line.text, _ticked_by(line, roles)) for line in lines)


def _ticked_by(line: Line, roles: Mapping[str, str]) -> str:
    if not line.role:
        return f"by itself, {line.clause}"
    return f"{roles.get(line.role, line.role)}{OR_A_JOB if line.job else ''}"


def lines_for_jobs(policy: TierPolicy) -> dict[tuple[str, str], bool]:
    """This function will say of each line of a policy, by the ids of checklist and line, whether a job may tick it.

    Where it stands in several (an emergency has its own), one that lets a job do it is enough: each promotion asks for
    the lines of its own.
    """
    found: dict[tuple[str, str], bool] = {}
    for clause in policy.clauses_of(Gate.CHECKLIST):
        checklist = checklist_of(clause)
        for line in checklist.lines:
            found[checklist.id, line.id] = line.job or found.get((checklist.id, line.id), False)
    return found


def asked_in_words(clause: Clause) -> str:
    """This function will say in words when the lines of a clause's checklist are ticked."""
    checklist = checklist_of(clause)
    when = f"within {checklist.hours} h after it ended" if checklist.hours else "before it starts"
    return f"{checklist.title}: each of {len(checklist.lines)} lines ticked {when}"
