"""What people, and alerts, say about a release that serves: a breach like one that was measured."""

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM, Actor
from apps.core import live
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Verdict
from apps.deployments import actions, permissions, wording
from apps.deployments.engine import endings, locks, rollback, start
from apps.deployments.enums import Harm
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Lane

UNDONE_AT_ONCE = {Harm.CUSTOMERS, Harm.VULNERABILITY}


class NotServing(Conflict):
    code = "not_serving"
    next_step = "Open the deployment that serves now, and report it there."


@transaction.atomic
def report_problem(
    deployment: Deployment, *, harm: Harm, reason: str, by: User | Actor, now: datetime
) -> Deployment | None:
    """This function will keep what was seen of a deployment that serves, and undo at once what hurts.

    Its release is quarantined and the lane rolled back, which leaves a hold, all in one transaction with the report.
    Shapes: returns the rollback; None where nothing is undone: another harm, or nothing to go back to, for which a
    person is called and the lane held.
    Raises NotServing: something else serves. Raises LaneBusy: an attempt holds the lane; nothing is kept then.
    Raises NotAsked: what could be brought back changed just now; nothing is kept then.
    Raises Denied: this person may not. Raises TextInvalid: for the reason, which must be given.
    """
    reason = one_line(reason, name="What you saw", limit=300)
    lane, is_undone = Lane.objects.with_cell().get(pk=deployment.lane_id), harm in UNDONE_AT_ONCE
    said = rollback.ask(lane, rollback.candidates(lane)) if is_undone else {}
    lane = locks.lane(lane.pk)
    permissions.may_roll_back(by, lane).require()
    serving = rollback.live_deployment(lane)
    if serving is None or serving.pk != deployment.pk or lane.live_release_id != deployment.release_id:
        raise NotServing(f"Deployment {deployment} serves no more in {lane.environment}.")
    if not is_undone:
        _record(deployment, harm, reason, by=by)
        return None
    start.require_free(lane, now=now)
    _record(deployment, harm, reason, by=by)
    why = wording.plain(f"{harm.label}, says {by}: {reason}", 300)
    endings.quarantine(serving.release, lane, reason=why, now=now)
    target = rollback.target_by_itself(lane, said)
    if isinstance(target, Verdict):
        environment_actions.set_hold(lane, reason=why, deployment_id=deployment.pk, by=SYSTEM, now=now)
        endings.call_for_person(deployment, f"{why} {target.sentence}")
        return None
    passes = actions.passed(lane, now)
    return start.start_rollback(lane, target=target, reason=why, why=passes, by=by, now=now)


def _record(deployment: Deployment, harm: Harm, reason: str, *, by: User | Actor) -> None:
    audit.record(
        "deployment.reported", by=by, target=deployment, reason=reason, outcome="FAILED",
        summary=f"{wording.subject(deployment)}: {harm.label.lower()}", after={"harm": harm.value},
        environment_id=deployment.lane.environment_id, service_id=deployment.lane.service_id,
    )  # fmt: skip
    live.hint(deployment.workspace_id, f"deployment:{deployment.pk}", f"lane:{deployment.lane_id}")
