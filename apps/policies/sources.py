"""Reads a policy from the YAML that people write: every mistake with the line and the column where it stands."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apps.core.verdict import Invalid
from apps.policies.clauses import TierPolicy
from apps.policies.documents import FIELDS, InvalidPolicy, parse

LARGEST_BYTES = 64 * 1024
DEEPEST = 12
_PLAIN = {f"tag:yaml.org,2002:{word}" for word in ("null", "bool", "int", "float", "str")}
_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, order=True)
class Mistake:
    """What is wrong, and where: line and column count from 1."""

    line: int
    column: int
    reason: str


class _Mark(Protocol):
    line: int
    column: int


class InvalidSource(Invalid):
    """The text does not say a policy. `mistakes` come in the order of the text, at least one."""

    code = "invalid_policy"
    next_step = "Correct the text and propose it again. The policy in force stays as it is."

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(" ".join(f"Line {found.line}, column {found.column}: {found.reason}" for found in mistakes))
        self.mistakes = tuple(mistakes)


def read(source: bytes, *, tier: str = "", roles: Collection[str] = ()) -> tuple[dict[str, Any], TierPolicy]:
    """This function will read the policy that a YAML text says: the document as it is kept, and its rules.

    Shapes: `tier` is which one it has to be of, `roles` are those that approvals may ask for; without them, any.
    Units: at most LARGEST_BYTES of UTF-8, DEEPEST levels, one document, no anchors and no tags.
    Raises InvalidSource: with every mistake that was found.
    """
    root = composed(decoded(source))
    if mistakes := sorted(mistakes_of_form(root)):
        raise InvalidSource(mistakes)
    document = value_of(root)
    try:
        policy = parse(document)
    except InvalidPolicy as error:
        raise InvalidSource(sorted(placed(problem, root) for problem in error.problems)) from error
    if problems := list(_misfits(document, tier, roles)):
        raise InvalidSource(sorted(placed(problem, root) for problem in problems))
    return document, policy


def _misfits(document: dict[str, Any], tier: str, roles: Collection[str]) -> Iterator[str]:
    if tier and document["tier"] != tier:
        yield f"tier: expected {tier}, whose policy this shall be."
    above = document.get("reminders", {}).get("escalate_to")
    if roles and above is not None and above not in roles:
        yield f"reminders.escalate_to: expected one of {', '.join(sorted(roles))}."
    for index, clause in enumerate(document["clauses"]):
        for name in ("role", "waived_by"):
            role = clause.get("settings", {}).get(name)
            if roles and role is not None and role not in roles:
                yield f"clauses[{index}].settings.{name}: expected one of {', '.join(sorted(roles))}."
        for number, line in enumerate(clause.get("settings", {}).get("lines", ())):
            if roles and "role" in line and line["role"] not in roles:
                place = f"clauses[{index}].settings.lines[{number}].role"
                yield f"{place}: expected one of {', '.join(sorted(roles))}."


def written(document: dict[str, Any], *, schema_url: str) -> str:
    """This function will write a kept document as the YAML text that `read` reads back to the same document."""
    ordered = {name: document[name] for name in FIELDS if name in document}
    # As PyYAML writes them, Unicode's own ends of line come back as spaces: where one stands, all is escaped.
    is_plain = not any(end in yaml.safe_dump(ordered, allow_unicode=True) for end in "\x85\u2028\u2029")
    text = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=is_plain, width=100)
    return f"# yaml-language-server: $schema={schema_url}\n{text}"


def decoded(source: bytes, *, limit: int = LARGEST_BYTES) -> str:
    """This function will return the text. Raises InvalidSource: it is longer than `limit` bytes, or not UTF-8."""
    if len(source) > limit:
        raise InvalidSource([Mistake(1, 1, f"The text is longer than {limit} bytes.")])
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start]
        column = error.start - before.rfind(b"\n")
        raise InvalidSource([Mistake(before.count(b"\n") + 1, column, "The text is not UTF-8.")]) from error


def composed(text: str, *, has_anchors: bool = False, deepest: int = DEEPEST) -> Node:
    """This function will return the tree of a text; with anchors, nodes stand in it more than once.

    Raises InvalidSource: it is not YAML. Events are looked at first: composing is recursive, and aliases multiply.
    """
    try:
        _refuse_traps(text, has_anchors=has_anchors, deepest=deepest)
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InvalidSource([at(mark, f"This is not YAML: {error.problem or error.context}.")]) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise InvalidSource([Mistake(*place, "The text holds a character that YAML forbids.")]) from error
    if root is None:
        raise InvalidSource([Mistake(1, 1, "The text is empty.")])
    return root


def _refuse_traps(text: str, *, has_anchors: bool, deepest: int) -> None:
    depth = documents = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if getattr(event, "anchor", None) and not has_anchors:
            raise InvalidSource([at(event.start_mark, "Anchors and aliases are not allowed: write the value out.")])
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise InvalidSource([at(event.start_mark, "Expected one document in a text.")])
        if depth > deepest:
            raise InvalidSource([at(event.start_mark, f"Nested deeper than {deepest} levels.")])


def mistakes_of_form(node: Node) -> Iterator[Mistake]:
    """This function will find what no document of ours may have, such as a field twice. The tree is without anchors."""
    if isinstance(node, ScalarNode):
        yield from _mistakes_of_scalar(node)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from mistakes_of_form(item)
    else:
        seen: set[str] = set()
        for key, item in node.value:
            if key.tag != "tag:yaml.org,2002:str" or not isinstance(key, ScalarNode):
                yield at(key.start_mark, "Expected a text as the name of a field.")
            elif key.value in seen:
                yield at(key.start_mark, f"{key.value}: stands there twice.")
            else:
                seen.add(key.value)
            yield from mistakes_of_form(item)


def _mistakes_of_scalar(node: ScalarNode) -> Iterator[Mistake]:
    if node.tag not in _PLAIN:
        yield at(node.start_mark, "Expected a text, a number, true, false or null; put quotes around a text.")
        return
    try:
        value_of(node)
    except (ValueError, KeyError):
        yield at(node.start_mark, "This is not the number or the word that its tag promises.")


def value_of(node: Node) -> Any:
    """This function will return what a tree says, once it has no mistakes of form."""
    if isinstance(node, MappingNode):
        return {key.value: value_of(item) for key, item in node.value}
    if isinstance(node, SequenceNode):
        return [value_of(item) for item in node.value]
    return yaml.constructor.SafeConstructor().construct_object(node)


def placed(problem: str, root: Node) -> Mistake:
    """This function will return a problem, `a[1].b: ...`, with its place: of the field, or the nearest around it."""
    node = mark = root
    for step in _STEP.findall(problem.split(":", 1)[0]):
        found = _child(node, step)
        if found is None:
            break
        mark, node = found
    return at(mark.start_mark, problem)


def _child(node: Node, step: str) -> tuple[Node, Node] | None:
    """Return where the field begins and its value; None where there is none."""
    if isinstance(node, MappingNode):
        return next(((key, item) for key, item in node.value if key.value == step), None)
    if isinstance(node, SequenceNode) and step.isdecimal() and int(step) < len(node.value):
        return node.value[int(step)], node.value[int(step)]
    return None


def at(mark: _Mark | None, reason: str) -> Mistake:
    """This function will return a mistake at a place of the text."""
    return Mistake(mark.line + 1, mark.column + 1, reason) if mark else Mistake(1, 1, reason)
