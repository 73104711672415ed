"""Each pair of states, and what each change leaves behind."""

import itertools

import pytest
from django.db import transaction
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.audit.kinds import KINDS
from apps.audit.models import AuditEvent
from apps.deployments import transitions
from apps.deployments.enums import ACTIVE, TERMINAL
from apps.deployments.enums import DeploymentState as S
from apps.deployments.models import Deployment, Transition


def test_every_state_is_in_the_table_and_terminal_ones_lead_nowhere() -> None:
    assert set(transitions.TABLE) == set(S)
    assert all(not transitions.TABLE[state] for state in TERMINAL)
    assert all(transitions.TABLE[state] for state in (S.QUEUED, *ACTIVE))


def test_every_state_but_the_first_is_reached_and_has_its_event() -> None:
    reached = set(itertools.chain.from_iterable(transitions.TABLE.values()))

    assert reached == set(S) - {S.QUEUED}
    assert all(f"deployment.{state.lower()}" in KINDS for state in S)


@pytest.mark.parametrize(("before", "after"), [(a, b) for a in S for b in S if b not in transitions.TABLE[a]])
def test_no_other_change_is_possible(before: S, after: S) -> None:
    with pytest.raises(transitions.NotAnEdge):
        transitions.advance(Deployment(state=before), after, by=SYSTEM, now=timezone.now())


def test_a_change_leaves_one_row_of_history_and_one_event(stage) -> None:
    deployment = stage.deploy()

    with stage.everything():
        rows = list(Transition.objects.filter(deployment=deployment).order_by("n"))
        kinds = list(
            AuditEvent.objects.filter(target_id=str(deployment.pk))
            .order_by("recorded_at")
            .values_list("kind", flat=True)
        )
    assert [row.n for row in rows] == [1, 2, 3, 4, 5]
    assert kinds == [f"deployment.{row.to_state.lower()}" for row in rows]


def test_a_broken_ledger_takes_the_change_back(stage, monkeypatch) -> None:
    deployment = stage.start()

    def broken(*_arguments: object, **_more: object) -> None:
        raise RuntimeError("no ledger")

    monkeypatch.setattr(transitions.audit, "record", broken)
    with pytest.raises(RuntimeError), stage.everything():
        transitions.advance(stage.fresh(deployment), S.CANCELLED, by=SYSTEM, now=timezone.now())

    assert stage.fresh(deployment).state == S.QUEUED


def test_the_database_keeps_an_ended_attempt_as_it_ended(stage) -> None:
    deployment = stage.deploy()

    with stage.everything(), pytest.raises(Exception, match="is final"), transaction.atomic():
        Deployment.objects.filter(pk=deployment.pk).update(state=S.QUEUED, ended_at=None)


def test_history_can_not_be_changed(stage) -> None:
    deployment = stage.deploy()

    with stage.everything(), pytest.raises(Exception, match="can not be changed"), transaction.atomic():
        Transition.objects.filter(deployment=deployment).update(why="x")
