"""The strategy document as a tree, made of the policies in force: whatever is drawn from it says what gates judge by.

Pure: policies and words in, the tree out. `markdown.py` and the templates draw the same tree.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from apps.environments.enums import Tier
from apps.policies import checklists, words
from apps.policies.clauses import REPORTED, Clause, Gate, TierPolicy
from apps.policies.documents import ALWAYS
from apps.policies.gates import TITLES

TITLE = "Deployment and release strategy"
# The order in which such a document is read. A gate that stands in none of them comes last, under its own heading.
TOPICS: tuple[tuple[str, str, tuple[Gate, ...]], ...] = (
    ("flow", "Release flow", (Gate.PREVIOUS_TIER, Gate.ARTIFACT, Gate.VERSION_ORDER, Gate.QUARANTINE)),
    ("evidence", "Tests and evidence", REPORTED),
    ("compatibility", "Compatibility", (Gate.API_COMPATIBILITY, Gate.MIGRATIONS, Gate.EVENT_COMPATIBILITY)),
    ("approvals", "Approvals", (Gate.APPROVALS,)),
    ("checklists", "Checklists", (Gate.CHECKLIST,)),
    ("windows", "Windows, freezes and holds", (Gate.WINDOW, Gate.FREEZE, Gate.HOLD)),
    ("environment", "Environment", (Gate.ENVIRONMENT,)),
    ("emergencies", "Emergencies", (Gate.EMERGENCY_PATH,)),
    ("rollback", "Way back", (Gate.ROLLBACK_READINESS,)),
    ("recovery", "Backups and recovery", (Gate.RECOVERY,)),
)
_IN_TOPICS = frozenset(gate for _, _, gates in TOPICS for gate in gates)


@dataclass(frozen=True)
class Edition:
    """A tier's policy and how it came into force; the people are empty where it came with the portal."""

    policy: TierPolicy
    number: int
    digest: str
    since: datetime
    reason: str
    proposed_by: str = ""
    activated_by: str = ""


@dataclass(frozen=True)
class ShownClause:
    """A clause in words. `anchor` is its id, with the tier before it where two tiers have a clause of that id.

    `lines` are those of its checklist, each with who ticks it.
    """

    id: str
    anchor: str
    text: str
    gate: Gate
    gate_title: str
    asked: str
    owner: str
    source: str
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ShownGate:
    """A gate, what it lets pass, and the clauses that ask for it: (anchor, id, tier)."""

    gate: Gate
    title: str
    lets_pass: str
    is_always: bool
    clauses: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, to be drawn in the order of the fields."""

    anchor: str
    title: str
    number: str = ""
    text: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    clauses: tuple[ShownClause, ...] = ()
    gates: tuple[ShownGate, ...] = ()
    sections: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Strategy:
    """The whole document: which versions it is made of, and what they say."""

    title: str
    editions: tuple[Edition, ...]
    sections: tuple[Section, ...]


def strategy_of(editions: Sequence[Edition], roles: Mapping[str, str]) -> Strategy:
    """This function will make the document of the policies in force.

    Shapes: one edition for each tier, in the order of the tiers; `roles` holds the label of each role's code.
    """
    policies = [edition.policy for edition in editions]
    shared = Counter(clause.id for policy in policies for clause in policy.clauses)
    shown = {
        policy.tier: shown_clauses(policy, roles, shared={each for each, times in shared.items() if times > 1})
        for policy in policies
    }
    sections = (
        Section("way", "The way of a release", facts=tuple(_way(policies, roles))),
        *(tier_section(policy, shown[policy.tier]) for policy in policies),
        Section("gates", "Gates", text=(_GATES,), gates=tuple(_gates(policies, shown))),
    )
    return Strategy(TITLE, tuple(editions), tuple(_numbered(sections)))


def shown_clauses(
    policy: TierPolicy, roles: Mapping[str, str], *, shared: frozenset[str] | set[str] = frozenset()
) -> tuple[ShownClause, ...]:
    """This function will put the clauses of a policy in words; `shared` are the ids that another tier has as well."""
    return tuple(_shown(policy, clause, roles, shared) for clause in policy.clauses)


def tier_section(policy: TierPolicy, clauses: Sequence[ShownClause]) -> Section:
    """This function will make the part of the document that is about one tier."""
    slug = policy.tier.lower()
    topics = [
        Section(f"{slug}-{word}", title, clauses=tuple(clause for clause in clauses if clause.gate in gates))
        for word, title, gates in TOPICS
    ]
    rest = tuple(clause for clause in clauses if clause.gate not in _IN_TOPICS)
    topics.append(Section(f"{slug}-more", "More rules", clauses=rest))
    traits, needs = words.traits_of(policy), words.needs_of(policy)
    return Section(
        f"tier-{slug}",
        policy.label,
        text=(words.STRATEGIES.get(policy.strategy, policy.strategy),),
        sections=(
            *(topic for topic in topics if topic.clauses),
            Section(f"{slug}-verification", "Verification and rollback", facts=words.terms_of(policy.verification)),
            Section(f"{slug}-limits", "How long things count", facts=words.limits_of(policy)),
            *((Section(f"{slug}-traits", "Traits of a release", facts=traits),) if traits else ()),
            Section(f"{slug}-data", "Data of the environment", facts=words.data_of(policy)),
            *((Section(f"{slug}-needs", "Requirements of the environment", facts=needs),) if needs else ()),
        ),
    )


def lines(section: Section) -> Iterator[str]:
    """This function will say a section line by line, without marks: to tell two of them apart."""
    yield section.title
    yield from section.text
    yield from (f"{name}: {said}" for name, said in section.facts)
    for clause in section.clauses:
        yield f"{clause.id}: {clause.text}"
        yield from (f"{clause.id}, line: {text} ({by})" for text, by in clause.lines)
        yield "; ".join(f"{name}: {said}" for name, said in (("Gate", clause.gate_title), *details(clause)))
    for part in section.sections:
        yield from lines(part)


def details(clause: ShownClause) -> Iterator[tuple[str, str]]:
    """This function will name what stands under the words of a clause, except for its gate."""
    if clause.asked:
        yield "Asked", clause.asked
    yield "Holds for", clause.owner
    yield "Source", clause.source


_GATES = (
    "A gate is judged with each look at a promotion, and once more in the transaction that starts its deployment. "
    "One that no clause asks for is not needed, but for those that always stand."
)


def _way(policies: Sequence[TierPolicy], roles: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for policy in policies:
        before = Tier(policy.tier).previous
        yield policy.label, words.way_here(policy, before.label if before else "", roles)


def _shown(
    policy: TierPolicy, clause: Clause, roles: Mapping[str, str], shared: frozenset[str] | set[str]
) -> ShownClause:
    return ShownClause(
        id=clause.id,
        anchor=f"{policy.tier.lower()}-{clause.id}" if clause.id in shared else clause.id,
        text=clause.text,
        gate=clause.gate,
        gate_title=TITLES[clause.gate],
        asked=words.asked(clause, roles),
        owner=words.holds_for(clause),
        source=clause.source,
        lines=checklists.lines_in_words(clause, roles),
    )


def _gates(policies: Sequence[TierPolicy], shown: Mapping[str, Sequence[ShownClause]]) -> Iterator[ShownGate]:
    for gate in Gate:
        using = [
            (clause.anchor, clause.id, policy.label)
            for policy in policies
            for clause in shown[policy.tier]
            if clause.gate == gate
        ]
        yield ShownGate(gate, TITLES[gate], words.LETS_PASS.get(gate, ""), gate in ALWAYS, tuple(using))


def _numbered(sections: Sequence[Section], before: str = "") -> Iterator[Section]:
    for count, section in enumerate(sections, start=1):
        number = f"{before}{count}"
        yield replace(section, number=number, sections=tuple(_numbered(section.sections, f"{number}.")))
