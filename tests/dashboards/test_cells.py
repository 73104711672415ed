"""What a cell says: the exception comes first, and every state has its word."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from apps.dashboards.cells import cell_of
from apps.dashboards.querysets import Raw

NOW = datetime(2026, 11, 18, 19, 0, tzinfo=UTC)
QUIET = Raw(
    slug="greeter",
    name="Greeter",
    owner_team="Platform",
    plane="CONTROL",
    is_pinned=False,
    lane_id=UUID(int=1),
    environment_id=UUID(int=2),
    environment="QA",
    tier="QA",
    version="1.2.0",
    since=NOW - timedelta(days=2),
    health="HEALTHY",
    health_detail="",
    drift="",
    rolled_back_from=None,
    newer=1,
    attempt_number=None,
    attempt_kind="DEPLOY",
    attempt_state="SUCCEEDED",
    attempt_version="1.2.0",
    attempt_at=NOW,
    done=None,
    total=None,
    is_called_for=False,
    waiting_number=None,
    waiting_state="PENDING",
    waiting_version="1.3.0",
    waiting_gates=None,
    hold=None,
    is_frozen=False,
    alerts=None,
    is_watched=False,
)
ATTEMPT = {"attempt_number": 7, "attempt_version": "1.3.0"}
WAITING = {"waiting_number": 9}


@pytest.mark.parametrize(
    ("changes", "kind", "word"),
    [
        ({}, "fine", "Healthy"),
        ({"health": "UNKNOWN"}, "idle", "No signal"),
        ({"health": "FAULTY", "health_detail": "503"}, "bad", "Faulty"),
        ({"version": None, "newer": None}, "na", "Nothing yet"),
        ({**ATTEMPT, "attempt_state": "QUEUED"}, "run", "Queued"),
        ({**ATTEMPT, "attempt_state": "APPLYING", "done": 3, "total": 7}, "run", "Step 4 of 7"),
        (
            {**ATTEMPT, "attempt_state": "APPLYING", "attempt_kind": "ROLLBACK", "done": 0, "total": 2},
            "run",
            "Rolling back, step 1 of 2",
        ),
        ({**ATTEMPT, "attempt_state": "UNKNOWN", "done": 3, "total": 7}, "warn", "Finding out"),
        ({**ATTEMPT, "attempt_state": "UNKNOWN", "is_called_for": True}, "bad", "Needs a person"),
        ({**ATTEMPT, "attempt_state": "FAILED"}, "bad", "Failed"),
        ({**ATTEMPT, "attempt_state": "ERRORED"}, "warn", "Did not run"),
        ({**ATTEMPT, "attempt_state": "CANCELLED"}, "fine", "Healthy"),
        ({"alerts": "ManyErrors"}, "warn", "Alert"),
        ({"rolled_back_from": "1.3.0"}, "warn", "Rolled back"),
        ({"hold": "Rolled back"}, "warn", "On hold"),
        ({**WAITING, "waiting_gates": [{"name": "approvals", "outcome": "WAITING"}]}, "wait", "1.3.0 needs approval"),
        (WAITING | {"waiting_gates": [{"name": "window", "outcome": "WAITING"}]}, "fine", "1.3.0 waits for the window"),
        ({**WAITING, "waiting_gates": [{"name": "artifact", "outcome": "FAILED"}]}, "warn", "1.3.0 is blocked"),
        ({**WAITING, "waiting_gates": []}, "fine", "1.3.0 waits"),
        ({**WAITING, "waiting_state": "READY"}, "run", "1.3.0 is ready"),
    ],
)
def test_a_cell_says_the_exception_first(changes: dict[str, object], kind: str, word: str) -> None:
    cell = cell_of(QUIET._replace(**changes), now=NOW)

    assert (cell.kind, cell.word) == (kind, word)


def test_what_stays_live_is_said_when_an_attempt_failed() -> None:
    assert cell_of(QUIET._replace(**ATTEMPT, attempt_state="FAILED"), now=NOW).more == "1.2.0 stays live"


def test_a_cell_says_how_far_it_is_behind_its_neighbour() -> None:
    assert cell_of(QUIET, before="Dev", ahead_of=0, now=NOW).more == "1 behind Dev"
    assert cell_of(QUIET, before="Dev", ahead_of=1, now=NOW).more == ""


def test_marks_of_freezes_and_holds_stand_beside_the_state() -> None:
    marked = QUIET._replace(
        **ATTEMPT, attempt_state="FAILED", is_frozen=True, hold="Rolled back", alerts="X", is_watched=True
    )

    assert cell_of(marked, now=NOW).more == "1.2.0 stays live · Alert · Watched closely · Frozen · On hold"
