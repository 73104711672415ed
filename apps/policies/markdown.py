"""The strategy document as Markdown: of the same tree the same bytes."""

import re
from collections.abc import Iterable, Iterator

from apps.policies import strategy as tree
from apps.policies.judgement import moment

# All that could begin a mark inside a line; the rest can't, since no text of a policy begins a line.
_MARKS = re.compile(r"([\\`*_{}\[\]<>|&~#!$])")


def written(document: tree.Strategy) -> str:
    """This function will write the document as CommonMark with tables, for a repository or a wiki."""
    return "\n".join(_document(document)) + "\n"


def said(text: str) -> str:
    """This function will write a text so that it reads as it is, whatever marks are in it."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def _document(document: tree.Strategy) -> Iterator[str]:
    yield f"# {said(document.title)}"
    yield ""
    yield "Made of the policies in force: what stands here is what promotions are judged by."
    yield ""
    yield from _table(
        ("Tier", "Version", "In force since", "Proposed by", "Put in force by", "Why", "Digest"),
        (
            (
                each.policy.label, str(each.number), moment(each.since), each.proposed_by or "none",
                each.activated_by or "none", each.reason, each.digest[:12],
            )
            for each in document.editions
        ),
    )  # fmt: skip
    for section in document.sections:
        yield from _section(section, "##")


def _section(section: tree.Section, marks: str) -> Iterator[str]:
    yield ""
    yield f'{marks} <a id="{section.anchor}"></a>{section.number} {said(section.title)}'
    for text in section.text:
        yield ""
        yield said(text)
    if section.facts:
        yield ""
        yield from (f"- **{said(name)}:** {said(value)}" for name, value in section.facts)
    if section.clauses:
        yield ""
    for clause in section.clauses:
        yield f'- <a id="{clause.anchor}"></a>**{clause.id}** {said(clause.text)}'
        details = "; ".join(f"{name.lower()}: {said(value)}" for name, value in tree.details(clause))
        yield f"  Gate: [{said(clause.gate_title)}](#gate-{clause.gate}); {details}."
        yield from (f"  - {said(text)} ({said(by)})" for text, by in clause.lines)
    if section.gates:
        yield ""
        yield from _table(("Gate", "Lets pass when", "Clauses"), map(_gate, section.gates), are_marked=True)
    for part in section.sections:
        yield from _section(part, f"{marks}#")


def _gate(gate: tree.ShownGate) -> tuple[str, str, str]:
    clauses = [f"[{each}](#{anchor}) ({said(tier)})" for anchor, each, tier in gate.clauses]
    return (
        f'<a id="gate-{gate.gate}"></a>{said(gate.title)}{" (always)" if gate.is_always else ""}',
        said(gate.lets_pass),
        ", ".join(clauses) or "none",
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], *, are_marked: bool = False) -> Iterator[str]:
    titles = tuple(head)
    yield _row(titles)
    yield _row("---" for _ in titles)
    yield from (_row(row if are_marked else map(said, row)) for row in rows)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
