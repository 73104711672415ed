"""A release that serves is judged by what its users get, against what they got before."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from apps.deployments import runner
from apps.deployments.enums import DeploymentState as S
from apps.deployments.models import Deployment, VerificationSample
from apps.environments.models import Hold
from apps.policies.models import PolicyVersion
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from tests.deployments.conftest import Stage
from tests.drill import get, text_of

BAD = "1.1.0"
USERS = {"requests": "50", "p95": "30"}


@pytest.fixture
def busy(stage: Stage) -> Stage:
    """Users come to Dev, where 1.0.0 serves."""
    stage.judge.behave(v1_0_0=USERS)
    stage.deploy()
    return stage


def test_a_slow_release_is_taken_back_by_its_p95(busy: Stage) -> None:
    busy.judge.behave(v1_0_0=USERS, v1_1_0={"requests": "50", "p95": "390"})

    bad = busy.deploy(BAD)

    back = busy.rollback_of(bad)
    assert (bad.state, back.state) == (S.FAILED, S.SUCCEEDED)
    assert bad.outcome == "P95 384 ms against 38 ms before, limit 100 ms, in 3 of 3 samples."
    assert busy.judge.serves(bad.lane.target_key) == "1.0.0"
    with busy.everything():
        hold = Hold.objects.open().get(lane=bad.lane)
        assert "limit 100 ms" in hold.reason
        assert Release.objects.get(pk=bad.release_id).state == ReleaseState.QUARANTINED


def test_a_release_that_fails_its_users_is_taken_back_by_its_errors(busy: Stage) -> None:
    busy.judge.behave(v1_0_0=USERS, v1_1_0={**USERS, "errors": "5"})

    bad = busy.deploy(BAD)

    assert bad.outcome == "5 of 50 requests failed (10.0 %), limit 5 %, in 3 of 3 samples."
    assert busy.rollback_of(bad).state == S.SUCCEEDED


def test_terms_and_samples_are_kept(busy: Stage) -> None:
    busy.judge.behave(v1_0_0=USERS, v1_1_0=USERS)

    good = busy.deploy(BAD)

    with busy.everything():
        samples = list(good.samples.order_by("taken_at"))
    assert good.state == S.SUCCEEDED
    assert good.terms["before"]["p95_ms"] == pytest.approx(38)
    assert good.terms["limits"] == {"error_percent": 5, "p95_ms": 100}
    assert [(row.requests, row.errors, row.p95_limit_ms, row.error_limit) for row in samples] == [(50, 0, 100, 5)] * 3


def test_the_page_draws_the_samples_with_their_limits(busy: Stage) -> None:
    busy.judge.behave(v1_0_0=USERS, v1_1_0={"requests": "50", "p95": "390", "errors": "1"})
    bad = busy.deploy(BAD)

    page = text_of(get(busy.world.cast.devops, reverse("deployments:deployment-detail", args=[bad.number])))

    assert "3 samples" in page
    assert "2.0 %" in page
    assert "limit 5 %" in page
    assert "384 ms" in page
    assert "38 ms before" in page
    assert "limit 100 ms" in page
    assert page.count('class="th"') == 2, "a line for each limit"


def test_a_sample_can_not_be_changed(busy: Stage) -> None:
    with busy.everything(), pytest.raises(IntegrityError, match="can not be changed"), transaction.atomic():
        VerificationSample.objects.update(requests=0)


def test_the_comparison_begins_where_the_release_before_began(busy: Stage) -> None:
    """The slots take turns: 1.0.0 was in the slot of 1.2.0, and its users count for neither 1.1.0 nor 1.2.0."""
    busy.judge.behave(v1_0_0=USERS, v1_1_0={"requests": "50", "p95": "70"}, v1_2_0={"requests": "50", "p95": "70"})
    busy.deploy(BAD)
    last = busy.deploy("1.2.0")

    assert last.state == S.SUCCEEDED
    assert last.terms["before"] == {"requests": 200, "errors": 0, "p95_ms": pytest.approx(78)}


def test_a_later_policy_changes_no_attempt_that_runs(busy: Stage) -> None:
    busy.judge.behave(v1_0_0=USERS, v1_1_0={"requests": "50", "p95": "390"})
    bad = busy.start(busy.release(BAD))
    thread = busy.run_until("START_GREEN", bad)
    _say(busy, most_p95_percent=9000)
    busy.judge.let_go("START_GREEN")
    thread.join(timeout=20)

    assert busy.fresh(bad).state == S.FAILED

    assert busy.fresh(bad).terms["most_p95_percent"] == 200


@pytest.mark.parametrize(
    ("rule", "state", "holds"), [("PASS", S.SUCCEEDED, 0), ("HOLD", S.SUCCEEDED, 1), ("FAIL", S.FAILED, 1)]
)
def test_without_traffic_the_policy_says_what_becomes_of_it(
    stage: Stage, settings, rule: str, state: str, holds: int
) -> None:
    settings.ENGINE_VERIFY_LIMIT = timedelta(seconds=0.5)
    stage.deploy()
    _say(stage, without_traffic=rule)

    after = stage.deploy(BAD)

    assert after.state == state
    with stage.everything():
        assert Hold.objects.open().filter(lane=after.lane, deployment_id=after.pk).count() == holds


def test_little_traffic_is_added_up_until_it_says_something(busy: Stage) -> None:
    _say(busy, without_traffic="FAIL")
    few = {"requests": "7", "p95": "30"}
    busy.judge.behave(v1_0_0=USERS, v1_1_0=few)

    good = busy.deploy(BAD)

    assert good.state == S.SUCCEEDED
    with busy.everything():
        assert list(good.samples.values_list("requests", flat=True)) == [7, 14, 21] * 3


def test_a_second_worker_keeps_what_was_agreed(busy: Stage) -> None:
    busy.judge.behave(v1_0_0=USERS, v1_1_0={"START_GREEN": "bug"})
    bad = busy.deploy(BAD)
    agreed = busy.fresh(bad).terms
    busy.judge.behave(v1_0_0={"requests": "50", "p95": "390"}, v1_1_0=USERS)
    with busy.everything():
        Deployment.objects.filter(pk=bad.pk).update(probe_after=bad.requested_at)

    runner.run(bad.pk)

    ended = busy.fresh(bad)
    assert (ended.state, ended.attempt) == (S.SUCCEEDED, 2)
    assert ended.terms["before"] == agreed["before"]


def _say(stage: Stage, **verification: object) -> None:
    """Put the next policy of Dev in force."""
    with stage.everything():
        old = PolicyVersion.objects.in_force("DEV").get()
        PolicyVersion.objects.filter(pk=old.pk).update(is_active=False)
        PolicyVersion.objects.create(
            workspace_id=old.workspace_id, tier=old.tier, number=old.number + 1, digest="0" * 64, reason="A test",
            document={**old.document, "verification": verification}, created_at=old.created_at, is_active=True,
        )  # fmt: skip
