"""Where an artifact comes from: what one statement must say, and that others take nothing from it."""

from dataclasses import replace
from typing import Any

import pytest

from apps.policies.enums import Outcome
from apps.policies.facts import ReportFacts
from apps.policies.gates import GateResult, evaluate
from tests.policies.documents import clause, make_document
from tests.policies.documents import make_policy as usual_policy
from tests.policies.facts import BUILDER, COMMIT, NEW, REPOSITORY, SOURCE, make_facts, report

OTHER = {"repository": "git+https://github.com/eaip/other", "commit": COMMIT}
OLDER = {"repository": SOURCE["repository"], "commit": "d" * 40}


def said(*, by: str = BUILDER, sources: Any = (SOURCE,), signed: str = "", has_signature: bool = True) -> ReportFacts:
    return report(
        "PROVENANCE", by, sources=list(sources), signed_by=signed, has_signature=has_signature or bool(signed)
    )


def judge(*reports: ReportFacts, asked: dict[str, Any] | None = None, **fields: Any) -> GateResult:
    policy = usual_policy(clauses=[*make_document()["clauses"], clause(9, "provenance", settings=asked or {})])
    facts = make_facts(reports=reports, **fields)
    return next(result for result in evaluate(policy, facts) if result.name == "provenance")


@pytest.mark.parametrize(
    ("statement", "asked", "outcome", "sentence"),
    [
        (said(), {}, Outcome.PASSED, "from commit c0ffee, signature not verified: no key of it is known. Asked: built"),
        (said(has_signature=False), {}, Outcome.PASSED, "from commit c0ffee, not signed. Asked: built by anybody"),
        (said(has_signature=False), {"signed": True}, Outcome.FAILED, f"What {BUILDER} says is not signed. Asked:"),
        (said(), {"signed": True}, Outcome.FAILED, "is signed with no key that is known. Asked: built by anybody, fr"),
        (said(signed="0123"), {"signed": True}, Outcome.PASSED, "signature verified (key 0123)."),
        (said(), {"builders": [BUILDER]}, Outcome.PASSED, f"Asked: built by {BUILDER}, from the release's commit."),
        (said(by=f"{BUILDER}@refs/tags/v2"), {"builders": [BUILDER]}, Outcome.PASSED, "@refs/tags/v2, from commit"),
        (said(by=f"{BUILDER}-of-mine"), {"builders": [BUILDER]}, Outcome.FAILED, f"It was built by {BUILDER}-of-mine."),
        (said(sources=[OLDER]), {}, Outcome.FAILED, "It was built from commit dddddddddddd, the release is of c0ffee."),
        (said(sources=[OLDER, SOURCE]), {}, Outcome.PASSED, "from commit c0ffee"),
        (said(sources=[]), {}, Outcome.FAILED, "It was built from no commit that is named, the release is of c0ffee."),
        (said(sources=[OTHER]), {}, Outcome.FAILED, f"from {OTHER['repository']}, the service is of {REPOSITORY}."),
    ],
)
def test_a_statement_must_say_what_is_asked(
    statement: ReportFacts, asked: dict[str, Any], outcome: Outcome, sentence: str
) -> None:
    result = judge(statement, asked=asked)

    assert result.outcome == outcome
    assert sentence in result.sentence


def test_one_good_statement_is_enough_whatever_others_say() -> None:
    good, bad = said(signed="0123"), said(by="somebody", sources=[OTHER])

    assert judge(bad, good, asked={"builders": [BUILDER], "signed": True}).outcome == Outcome.PASSED


@pytest.mark.parametrize(
    "repository",
    [
        "git@github.com:eaip/greeter.git", "ssh://git@github.com:22/eaip/greeter", "https://GitHub.com/eaip/greeter/",
        "https://token@github.com/eaip/greeter.git", "greeter.git", "/srv/git/greeter.git", "",
    ],
)  # fmt: skip
def test_a_repository_is_the_same_however_it_is_written_and_a_folder_is_not_compared(repository: str) -> None:
    assert judge(said(), repository=repository).outcome == Outcome.PASSED


def test_a_release_without_a_commit_is_compared_by_its_repository_alone() -> None:
    bare = replace(NEW, commit="")

    assert "the release names no commit" in judge(said(sources=[]), release=bare).sentence
    assert judge(said(sources=[OTHER]), release=bare).outcome == Outcome.FAILED
