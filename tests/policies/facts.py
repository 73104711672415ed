"""Facts in which every gate of Production lets pass, to be changed one by one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.policies.facts import (
    ArtifactFacts,
    DecisionFacts,
    Facts,
    FallbackFacts,
    ReleaseFacts,
    RequirementFacts,
    TierPassed,
    WindowFacts,
)

AT = datetime(2026, 11, 18, 19, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
PLAN = "p" * 64

LIVE = ReleaseFacts("1.0.0", (1, 0, 0, "~"), "SEALED")
NEW = ReleaseFacts("1.1.0", (1, 1, 0, "~"), "SEALED")
WHOLE = ArtifactFacts(DIGEST, DIGEST, parts=3, stored=3)
FALLBACK = FallbackFacts(LIVE, WHOLE, "version 2")
BEFORE = ReleaseFacts("0.9.0", (0, 9, 0, "~"), "SEALED")
PATH = (
    TierPassed("Dev", AT - timedelta(days=3), "Dev", "Promotion #1"),
    TierPassed("QA", AT - timedelta(days=2), "QA", "Promotion #2"),
    TierPassed("Staging", AT - timedelta(days=1), "Staging", "Promotion #3"),
)


def decision(person: str = "devops", **fields: Any) -> DecisionFacts:
    return replace(DecisionFacts(person, person, PLAN, AT + timedelta(days=1), holds_role=True), **fields)


def requirement(role: str = "DEVOPS", said: DecisionFacts | None = None, **fields: Any) -> RequirementFacts:
    return replace(RequirementFacts(role, role.capitalize(), said, ("Somebody",)), **fields)


def make_facts(**fields: Any) -> Facts:
    return replace(
        Facts(
            at=AT,
            service="Greeter",
            environment="Production",
            plan_hash=PLAN,
            release=NEW,
            artifact=WHOLE,
            path=PATH,
            live=LIVE,
            fallbacks=(FALLBACK,),
            window=WindowFacts(is_open=True, sentence="The window is open."),
            requirements=(requirement(said=decision()),),
        ),
        **fields,
    )
