"""Giving up finding out: a reason, and in Production a second person."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.core.verdict import Conflict, Denied
from apps.deployments import actions, runner
from apps.deployments.enums import DeploymentState as S
from apps.deployments.models import Deployment
from apps.environments.enums import Tier
from apps.environments.models import Environment, Hold
from tests.deployments.conftest import Stage
from tests.drill import get, post, text_of


@pytest.fixture
def lost(stage: Stage, settings) -> Deployment:
    """An attempt in an environment that has become Production, of which nobody can tell how it stands."""
    settings.ENGINE_PROBE_EVERY = timedelta(0)
    stage.deploy()
    stage.judge.behave(v1_1_0={"DRAIN_BLUE": "bug", "probe": "UNREACHABLE"})
    deployment = stage.deploy("1.1.0")
    with stage.everything():
        Environment.objects.filter(pk=stage.world.dev.pk).update(tier=Tier.PRODUCTION)
    return stage.fresh(deployment)


def _say(stage: Stage, deployment: Deployment, by: User, reason: str = "The machine is gone") -> Deployment:
    with stage.everything():
        return actions.abandon_deployment(deployment, reason=reason, by=by, now=timezone.now())


def _address(deployment: Deployment) -> str:
    return reverse("deployments:abandonment", args=[deployment.number])


def _look(deployment: Deployment) -> str:
    return reverse("deployments:look-again", args=[deployment.number])


def _ask_later(stage: Stage, deployment: Deployment) -> None:
    with stage.everything():
        Deployment.objects.filter(pk=deployment.pk).update(probe_after=timezone.now() + timedelta(minutes=1))


def _page(stage: Stage, deployment: Deployment, by: User) -> str:
    return text_of(get(by, reverse("deployments:deployment-detail", args=[deployment.number])))


def _kinds(stage: Stage, deployment: Deployment) -> set[str]:
    with stage.everything():
        return set(AuditEvent.objects.filter(target_id=str(deployment.pk)).values_list("kind", flat=True))


def test_in_production_the_second_person_ends_it_and_the_lane_is_held(stage, lost) -> None:
    first, second = stage.world.cast.devops, stage.world.cast.second_devops

    assert _say(stage, lost, first).state == S.UNKNOWN
    assert "deployment.abandonment_proposed" in _kinds(stage, lost)
    with pytest.raises(Denied, match="another person has to agree"):
        _say(stage, lost, first)
    ended = _say(stage, lost, second, "I looked too")

    assert ended.state == S.ABANDONED
    assert ended.outcome == "Abandoned by DevOps (The machine is gone) and Second DevOps: I looked too"
    assert "deployment.abandoned" in _kinds(stage, lost)
    with stage.everything():
        assert Hold.objects.open().filter(lane=lost.lane).exists()


def test_the_other_person_declines_and_somebody_may_propose_again(stage, lost) -> None:
    first, second = stage.world.cast.devops, stage.world.cast.second_devops
    _say(stage, lost, first)

    with stage.everything():
        actions.decline_abandonment(lost, reason="It answers again", by=second)
        with pytest.raises(Denied, match="any more"):
            actions.decline_abandonment(lost, reason="It answers again", by=second)

    assert "deployment.abandonment_declined" in _kinds(stage, lost)
    assert _say(stage, lost, second).abandon_proposed_by == second


def test_what_is_found_out_meanwhile_ends_the_proposal(stage, lost) -> None:
    _say(stage, lost, stage.world.cast.devops)
    stage.judge.behave()

    runner.run(lost.pk)

    ended = stage.fresh(lost)
    assert (ended.state, ended.abandon_proposed_at, ended.abandon_proposed_by) == (S.SUCCEEDED, None, None)
    with pytest.raises(Denied, match="the engine still has it"):
        _say(stage, lost, stage.world.cast.second_devops)


def test_one_person_has_the_target_asked_before_its_time(stage, lost, settings) -> None:
    first, second, url = stage.world.cast.devops, stage.world.cast.second_devops, _look(lost)
    _ask_later(stage, lost)
    assert 'action="' + url in _page(stage, lost, first)

    assert post(first, url).status_code == 302
    assert "deployment.look_requested" in _kinds(stage, lost)
    assert "is being asked now" in text_of(post(second, url))
    stage.judge.behave()
    runner.run(lost.pk)

    assert stage.fresh(lost).state == S.SUCCEEDED
    assert "nothing to look for" in text_of(post(first, url))


def test_who_may_not_operate_has_nobody_asked(stage, lost) -> None:
    _ask_later(stage, lost)

    assert post(stage.world.cast.auditor, _look(lost)).status_code == 403
    assert post(stage.world.cast.outsider, _look(lost)).status_code == 404
    assert get(stage.world.cast.devops, _look(lost)).status_code == 405
    assert "deployment.look_requested" not in _kinds(stage, lost)


def test_of_two_who_want_it_asked_at_once_one_does(stage, lost) -> None:
    _ask_later(stage, lost)

    def ask(by: User) -> None:
        with stage.everything():
            actions.look_again(lost, by=by)

    people = (stage.world.cast.devops, stage.world.cast.second_devops)
    (refusal,) = _at_once(*(lambda by=by: ask(by) for by in people))

    assert "is being asked now" in str(refusal)
    with stage.everything():
        assert AuditEvent.objects.filter(target_id=str(lost.pk), kind="deployment.look_requested").count() == 1


def test_both_steps_on_the_pages(stage, lost) -> None:
    first, second, url = stage.world.cast.devops, stage.world.cast.second_devops, _address(lost)
    assert "Propose to abandon it" in text_of(get(first, url))
    assert post(first, url, {"reason": "The machine is gone"}).status_code == 302
    assert "DevOps proposes to abandon it" in _page(stage, lost, stage.world.cast.auditor)
    assert "Agree or decline" in _page(stage, lost, second)

    own = text_of(get(first, url))
    assert "another person has to agree" in own
    assert post(first, url, {"reason": "Sure", "choice": "ABANDON"}).status_code == 403
    assert post(second, url, {"reason": "", "choice": "DECLINE"}).status_code == 422
    assert post(second, url, {"reason": "It answers", "choice": "DECLINE"}).status_code == 302
    assert post(first, url, {"reason": "Really gone"}).status_code == 302
    assert "Agree: abandon it" in text_of(get(second, url))
    assert post(second, url, {"reason": "Seen it", "choice": "ABANDON"}).status_code == 302
    assert stage.fresh(lost).state == S.ABANDONED


def test_of_two_agreements_at_once_one_ends_it(stage, lost) -> None:
    _say(stage, lost, stage.world.cast.devops)

    def agree() -> None:
        _say(stage, lost, stage.world.cast.second_devops)

    assert len(_at_once(agree, agree)) == 1
    assert stage.states(lost).count("ABANDONED") == 1


def test_an_agreement_and_a_look_that_finds_out_end_it_once(stage, lost) -> None:
    _say(stage, lost, stage.world.cast.devops)
    stage.judge.behave()

    _at_once(lambda: runner.run(lost.pk), lambda: _say(stage, lost, stage.world.cast.second_devops))

    ended, states = stage.fresh(lost), stage.states(lost)
    assert ended.state in (S.SUCCEEDED, S.ABANDONED)
    assert states.index("UNKNOWN") == len(states) - 2
    lane = stage.lane()
    assert lane.live_release.version == ("1.1.0" if ended.state == S.SUCCEEDED else "1.0.0")


def _at_once(*acts: Callable[[], object]) -> list[Exception]:
    """Do these at the same moment, each on its own connection; return the refusals."""
    barrier = threading.Barrier(len(acts))

    def do(act: Callable[[], object]) -> Exception | None:
        barrier.wait()
        try:
            act()
        except (Denied, Conflict) as refusal:
            return refusal
        finally:
            connection.close()
        return None

    with ThreadPoolExecutor(len(acts)) as threads:
        return [refusal for refusal in threads.map(do, acts) if refusal]
