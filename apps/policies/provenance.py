"""The rule about where an artifact comes from: who built it, of which sources, and whether they signed that."""

import re
from collections.abc import Mapping
from typing import Any

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.evidence import awaited, failed, passed, reports_of
from apps.policies.facts import Facts
from apps.policies.judgement import Judgement, listed, not_asked

_REMOTE = re.compile(r"(?:[a-z]+://)?(?:[^@/:]+(?::[^@/]*)?@)?([^@/:]+)(?::\d+(?=/))?[/:]([^@]+)(?:@.*)?")


def origin(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """One statement that says all that is asked is enough: others, by whoever, take nothing from it."""
    if clause is None:
        return not_asked(policy, "where the artifact comes from")
    reports, asked = reports_of(facts, ("PROVENANCE",)), _asked(clause)
    if not reports:
        return awaited(f"There is no provenance of the artifact yet. {asked}", reports)
    lacks = [_lack(report.figures, clause, facts) for report in reports]
    if "" not in lacks:
        return failed(f"{'; '.join(dict.fromkeys(lacks))}. {asked}", reports)
    return passed(f"{_said(reports[lacks.index('')].figures, facts)} {asked}", reports)


def _asked(clause: Clause) -> str:
    builders = clause.words("builders") if "builders" in clause.settings else ()
    by = f"built by {listed(builders)}" if builders else "built by anybody"
    signed = ", with a signature that is verified" if clause.settings.get("signed") else ""
    return f"Asked: {by}, from the release's commit{signed}."


def _said(figures: Mapping[str, Any], facts: Facts) -> str:
    commit = facts.release.commit
    from_ = f"from commit {commit[:12]}" if commit else "from what can't be compared, since the release names no commit"
    return f"Built by {figures['builder']}, {from_}, {_signature(figures)}."


def _signature(figures: Mapping[str, Any]) -> str:
    if figures["signed_by"]:
        return f"signature verified (key {figures['signed_by']})"
    return "signature not verified: no key of it is known" if figures["has_signature"] else "not signed"


def _lack(figures: Mapping[str, Any], clause: Clause, facts: Facts) -> str:
    """Return what one statement lacks of what is asked; empty where it lacks nothing."""
    builder, builders = figures["builder"], clause.settings.get("builders")
    if builders is not None and not any(_is_builder(builder, allowed) for allowed in clause.words("builders")):
        return f"It was built by {builder}"
    if clause.settings.get("signed") and not figures["signed_by"]:
        how = "signed with no key that is known" if figures["has_signature"] else "not signed"
        return f"What {builder} says is {how}"
    return _foreign(figures["sources"], facts)


def _is_builder(builder: str, allowed: str) -> bool:
    """Say whether it is that builder, in whatever version where none is named (`builder@refs/tags/v2`)."""
    return builder == allowed or builder.startswith(f"{allowed}@")


def _foreign(sources: list[Mapping[str, str]], facts: Facts) -> str:
    commit, mine = facts.release.commit.lower(), _place(facts.repository)
    same = [source for source in sources if commit and source["commit"].startswith(commit)]
    if commit and not same:
        named = f"from commit {sources[0]['commit'][:12]}" if sources else "from no commit that is named"
        return f"It was built {named}, the release is of {commit[:12]}"
    places = [(source["repository"], _place(source["repository"])) for source in same or sources]
    if mine and places and all(place != mine for _, place in places):
        return (
            f"It was built from {places[0][0] or 'a repository without a name'}, the service is of {facts.repository}"
        )
    return ""


def _place(repository: str) -> str:
    """Return host and path of a repository, however it is written; empty for a folder, which is nowhere else known."""
    found = _REMOTE.fullmatch(repository.strip().removeprefix("git+"))
    if found is None or "." not in found[1]:
        return ""
    return f"{found[1]}/{found[2].strip('/').removesuffix('.git')}".lower()
