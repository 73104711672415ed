"""What a release may change for those who consume its events, with the verdict of a person."""

from dataclasses import replace

import pytest

from apps.policies.enums import Outcome
from apps.policies.facts import EventFacts, EventsFacts
from apps.policies.gates import GateResult, evaluate
from tests.policies.documents import make_policy
from tests.policies.facts import make_facts

PLACED = EventFacts("orders.placed 1", old_minor=0, new_minor=1)
GONE = replace(PLACED, new_minor=None, consumers=("Billing", "Mail"))
BROKEN = replace(PLACED, breaking=2, worst=("$.total property-required (reads events of 1.0)",))
UNSURE = replace(PLACED, undecided=1, worst=("$ schema-changed (reads events of 1.0)",))


def beside(*events: EventFacts, **fields: object) -> EventsFacts:
    return replace(EventsFacts("1.0.0", is_listed=True, is_version_listed=True, events=events), **fields)


@pytest.mark.parametrize(
    ("events", "outcome", "words"),
    [
        (EventsFacts(), Outcome.NOT_REQUIRED, "1.1.0 lists no events."),
        (EventsFacts("1.0.0"), Outcome.NOT_REQUIRED, "and neither does 1.0.0, which runs in Production."),
        (beside(GONE, is_listed=False), Outcome.WAITING, "There is no list of the events of 1.1.0; 1.0.0, which runs"),
        (beside(), Outcome.PASSED, "1.1.0 publishes no events, and nobody waits for any."),
        (beside(PLACED), Outcome.PASSED, "The one event that 1.1.0 publishes fits the lower schemas."),
        (beside(GONE), Outcome.FAILED, "no longer publishes orders.placed 1, which is consumed by Billing and Mail."),
        (beside(replace(GONE, consumers=())), Outcome.FAILED, "drop that version first, so that nobody opts in to it."),
        (beside(replace(GONE, is_dropped=True)), Outcome.PASSED, "publishes no events"),
        (beside(BROKEN), Outcome.FAILED, "In orders.placed 1.1 2 changes do not fit the lower schemas: $.total prop"),
        (beside(BROKEN, UNSURE), Outcome.FAILED, "That needs a new major version of the event."),
        (
            beside(replace(PLACED, old_minor=2)),
            Outcome.FAILED,
            "1.1; orders.placed 1.2 runs in Production already.",
        ),
        (beside(replace(PLACED, is_checked=False)), Outcome.RUNNING, "The schema of orders.placed 1 is being checked"),
        (beside(UNSURE), Outcome.INCONCLUSIVE, "No rule decides whether the schema of orders.placed 1 fits the lower"),
        (beside(replace(PLACED, old_minor=None), version=""), Outcome.PASSED, "fits the lower schemas"),
    ],
)
def test_consumers_are_served_on(events: EventsFacts, outcome: Outcome, words: str) -> None:
    result = judge(events)

    assert result.outcome == outcome
    assert words in result.sentence
    assert outcome.lets_pass or outcome == Outcome.RUNNING or result.who


def test_what_does_not_fit_is_the_evidence() -> None:
    assert judge(beside(BROKEN)).evidence == ("orders.placed 1: $.total property-required (reads events of 1.0)",)


def judge(events: EventsFacts) -> GateResult:
    results = evaluate(make_policy("event_compatibility"), make_facts(events=events))
    return next(result for result in results if result.name == "event_compatibility")
