"""The helm executor: a release of helm for each lane, named by the lane's key.

What stands on the cluster says of itself who brought it: labels of the helm release carry the deployment and the fence.
Helm is never asked to wait for workloads or to bring the old release back by itself (`--atomic`): the engine owns the
deadline and the way back, so that a killed helm loses nothing but its own place in the history, and REPAIR mends that.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from apps.core.crashpoints import crashpoint
from apps.deployments.executors import guard
from apps.deployments.executors.contract import (
    Abilities,
    ArtifactRejected,
    Cancelled,
    ConfigurationRef,
    Correction,
    ExecutorError,
    LaneRow,
    Log,
    NotIdle,
    Observation,
    Order,
    OutcomeUnknown,
    Readiness,
    ReleaseFailed,
    ReleaseRef,
    Sample,
    Slot,
    SlotRow,
    SlotTraffic,
    StaleFence,
    Standing,
    StepKind,
    StepPlan,
    StepResult,
    Stores,
    TargetRef,
    TargetUntouched,
)
from apps.deployments.executors.elsewhere import reconcile_each
from apps.deployments.executors.guard import Lifeline
from apps.deployments.executors.helm import charts, workloads
from apps.deployments.executors.helm.client import Helm, HelmAway, Revision, find
from apps.deployments.executors.lane import Lane
from apps.deployments.executors.lifelines import Lifelines
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.atomic_file import write_atomically

DEPLOYMENT, FENCE = "eaip-deployment", "eaip-fence"
MOST_NAMED = 3


class HelmStep(StrEnum):
    VERIFY_CHART = "VERIFY_CHART"
    REPAIR = "REPAIR"
    UPGRADE = "UPGRADE"
    AWAIT_READY = "AWAIT_READY"


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds, all of them."""

    silence: float = 20.0
    patience: float = 25.0
    """How long a step waits for what a lost worker left at work; longer than a guard's silence."""
    limit: float = 600.0
    """How long helm may take for one command, its hooks with it."""
    grace: float = 20.0
    """How long helm may take to end when it is told to."""
    ready: float = 300.0
    poll: float = 1.0


class HelmExecutor:
    can = Abilities(
        probe=True, cancel=True, roll_back=True, keep_warm=False, repeat=True, observe=True, stores=Stores.CHART
    )

    def __init__(
        self,
        *,
        binary: str,
        kubeconfigs: Mapping[str, Path],
        store: ArtifactStore,
        target_dir: Path,
        clocks: Clocks | None = None,
    ) -> None:
        self.binary, self.kubeconfigs, self.store, self.target_dir = binary, kubeconfigs, store, target_dir
        self.clocks = clocks or Clocks()
        self._lifelines = Lifelines()

    # ---- what the engine calls, in the order of the contract

    def plan(self, order: Order) -> tuple[StepPlan, ...]:
        version = order.release.version
        return (
            StepPlan(HelmStep.VERIFY_CHART, f"Verify the chart of {version}", "STARTING", 1),
            StepPlan(HelmStep.REPAIR, "Mend what a helm that died may have left", "APPLYING", 0.5),
            StepPlan(HelmStep.UPGRADE, f"Install {version} with helm", "APPLYING", 3),
            StepPlan(HelmStep.AWAIT_READY, "Wait until its workloads are ready", "APPLYING", 30),
            StepPlan(StepKind.VERIFY, "Verify that its workloads stay ready", "VERIFYING", 10),
        )

    def probe(self, order: Order) -> Observation:
        lane = self._lane(order.target)
        with lane.fenced(order.fence, order.deployment_id):
            pass
        if lane.is_at_work:
            return Observation(Standing.IN_FLIGHT, "A step of this lane is at work on the target.")
        try:
            helm = self._helm(order.target)
            latest = helm.latest(lane.key)
            if latest is None:
                return Observation(Standing.NOT_APPLIED, "Helm knows no release of this lane.")
            told = f"Helm holds revision {latest.number} for {latest.status}."
            if latest.labels.get(DEPLOYMENT) != str(order.deployment_id):
                return Observation(Standing.NOT_APPLIED, f"{told} It is not of this attempt.")
            unready = self._fault(helm, lane)
        except (HelmAway, TargetUntouched) as error:
            return Observation(Standing.UNREACHABLE, str(error))
        is_there = latest.status == "deployed" and not unready
        return Observation(
            state=Standing.APPLIED if is_there else Standing.BEGUN,
            detail=f"{told} {unready or 'Its workloads are ready.'}",
            healthy=not unready,
            deployment_id=order.deployment_id,
        )

    def apply(self, kind: str, order: Order, *, log: Log) -> StepResult:
        step = _STEPS.get(kind)
        if step is None:
            raise ValueError(f"{kind} is not a step of the executor")
        lane = self._lane(order.target)
        with _named(), self._lifelines.of(order.deployment_id) as lifeline:
            with lane.fenced(order.fence, order.deployment_id):
                pass
            with lane.at_work(patience=self.clocks.patience, is_cancelled=lambda: lifeline.is_cancelled) as lock:
                return step(self, _Step(order, lane, self._helm(order.target), lifeline, log, lock))

    def renew(self, deployment_id: UUID, at: float) -> None:
        self._lifelines.renew(deployment_id, at)

    def cancel(self, deployment_id: UUID) -> None:
        self._lifelines.cancel(deployment_id)

    def discard(self, order: Order, *, log: Log) -> None:
        lane = self._lane(order.target)
        with (
            _named(),
            lane.at_work(patience=self.clocks.patience) as lock,
            self._lifelines.of(order.deployment_id) as lifeline,
        ):
            step = _Step(order, lane, self._helm(order.target), lifeline, log, lock)
            latest = self._accepted(step)
            if latest is None or latest.labels.get(DEPLOYMENT) != str(order.deployment_id):
                return
            if latest.status == "deployed":
                raise NotIdle(f"Revision {latest.number} is of this attempt and deployed: it can't be discarded.")
            self._bring_back(step)

    def retire(self, target: TargetRef, slot: Slot, *, fence: int) -> bool:
        return False

    def remove(self, target: TargetRef, *, fence: int) -> None:
        lane = self._lane(target)
        with _named(), lane.at_work(patience=self.clocks.patience) as lock, lane.fenced(fence):
            helm = self._helm(target)
            if helm.latest(lane.key) is None:
                return
            outcome = self._run(helm, helm.uninstall(lane.key, seconds=self.clocks.limit), lane, lock)
            if not outcome.succeeded:
                raise OutcomeUnknown(f"Helm could not uninstall it: {outcome.last_line}"[:500])

    def readiness(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> Readiness:
        try:
            chart = charts.chart_of(release)
        except ArtifactRejected as error:
            return Readiness(False, False, str(error))
        if not self.store.has(chart["sha256"]):
            return Readiness(False, False, f"The artifact store doesn't hold the chart of {release.version}.")
        return Readiness(True, False, f"The chart of {release.version} is in the artifact store.")

    def sample(self, target: TargetRef) -> Sample:
        lane, started = self._lane(target), time.monotonic()
        try:
            helm = self._helm(target)
            said = self._fault(helm, lane) if helm.latest(lane.key) else "Helm knows no release of this lane"
        except (HelmAway, TargetUntouched) as error:
            said = str(error)
        return Sample(not said, None, (time.monotonic() - started) * 1000, said or "All workloads are ready")

    def traffic(self, target: TargetRef) -> tuple[SlotTraffic, ...]:
        return ()

    def reconcile(self, rows: tuple[LaneRow, ...]) -> tuple[Correction, ...]:
        return reconcile_each(rows, self._reconciled, place="cluster", away=(HelmAway,), refused=(ExecutorError,))

    # ---- steps

    def _verify_chart(self, step: "_Step") -> StepResult:
        release = step.order.release
        fetched = False
        if step.order.rolls_back is None:
            fetched = charts.fetch(release, self.store, step.helm, lifeline=step.lifeline, log=step.log)
        charts.verified(release, self.store)
        origin = "was fetched and has" if fetched else "in the artifact store has"
        detail = f"The chart of {release.version} {origin} the digest that the release was sealed with."
        return StepResult(detail, changed=fetched, evidence={"digest": release.digest})

    def _repair(self, step: "_Step") -> StepResult:
        latest = self._accepted(step)
        if latest is None or not latest.is_stuck:
            return StepResult("Nothing was left half-way.", changed=False)
        how = self._bring_back(step)
        detail = f"Revision {latest.number} was left {latest.status} by a helm that died: {how}"
        return StepResult(detail, evidence={"stuck_revision": latest.number, "stuck_status": latest.status})

    def _upgrade(self, step: "_Step") -> StepResult:
        order, lane = step.order, step.lane
        latest = self._accepted(step)
        if latest and latest.status == "deployed" and latest.labels.get(DEPLOYMENT) == str(order.deployment_id):
            return StepResult(f"Revision {latest.number} is of this attempt already.", changed=False)
        chart, values = charts.verified(order.release, self.store), lane.folder / "values.json"
        labels = {DEPLOYMENT: str(order.deployment_id), FENCE: str(order.fence)}
        told = f"{order.release.version}, configuration {order.configuration.number}: {_words(labels)}"
        limit = self.clocks.limit
        command = step.helm.upgrade(lane.key, chart, values=values, labels=labels, description=told, seconds=limit)
        if step.lifeline.is_cancelled:
            raise Cancelled("Cancelled before helm was started.")
        write_atomically(values, charts.values_of(order.configuration.values))
        crashpoint("values_written")
        try:
            outcome = self._started(step, command)
        finally:
            values.unlink()
        crashpoint("helm_ended")
        now = self._seen(step)
        is_ours = now is not None and now.labels.get(DEPLOYMENT) == str(order.deployment_id)
        if not outcome.succeeded and not is_ours:
            said = f"Helm refused before it changed anything: {outcome.last_line}"[:500]
            raise TargetUntouched(said, retry=False, code="helm-refused")
        if not outcome.succeeded:
            said = f"Helm could not install {order.release.version}: {outcome.last_line}"[:500]
            raise ReleaseFailed(said, serving=True)
        if not is_ours:
            raise OutcomeUnknown("Helm ended well, but the newest revision is of somebody else.")
        return StepResult(f"Helm has deployed {order.release.version}.", evidence={"revision": now and now.number})

    def _await_ready(self, step: "_Step") -> StepResult:
        deadline, said = time.monotonic() + self.clocks.ready, ""
        while True:
            away = None
            try:
                unready = self._unready(step.helm, step.lane)
            except workloads.NeverReady as error:
                raise ReleaseFailed(f"{error}."[:500], serving=True) from error
            except HelmAway as error:  # a cluster may be away for a moment; what was installed goes on meanwhile
                unready, away = str(error), error
            if not unready:
                return StepResult("All workloads are ready.", changed=False)
            if unready != said:
                step.log(said := unready)
            if time.monotonic() > deadline and away is not None:
                raise OutcomeUnknown(unready) from away
            if time.monotonic() > deadline:
                raise ReleaseFailed(f"Not ready within {self.clocks.ready:.0f} s: {unready}."[:500], serving=True)
            if step.lifeline.pause(self.clocks.poll):
                raise Cancelled("Cancelled while its workloads were getting ready.")

    # ---- what steps share

    def _lane(self, target: TargetRef) -> Lane:
        return Lane(self.target_dir, target.lane_key, parts=("home",))

    def _helm(self, target: TargetRef) -> Helm:
        cluster = target.address.get("cluster", "")
        kubeconfig = self.kubeconfigs.get(cluster)
        if kubeconfig is None:
            said = f"The settings name no kubeconfig for the cluster {cluster!r}."
            raise TargetUntouched(said, retry=False, code="cluster-unknown")
        try:
            binary = find(self.binary)
        except HelmAway as error:
            raise TargetUntouched(str(error), retry=False, code="helm-missing") from error
        home = self._lane(target).folder / "home"
        return Helm(binary, kubeconfig=kubeconfig, namespace=target.address.get("namespace", ""), home=home)

    def _accepted(self, step: "_Step") -> Revision | None:
        """Look at the target, and hold its fence against ours. Raises StaleFence: a higher one was here."""
        with step.lane.fenced(step.order.fence, step.order.deployment_id):
            latest = step.helm.latest(step.lane.key)
        seen = int(latest.labels.get(FENCE, "0")) if latest else 0
        if seen > step.order.fence:
            raise StaleFence(f"The cluster has accepted fence {seen} for this lane; {step.order.fence} is too late.")
        return latest

    def _bring_back(self, step: "_Step") -> str:
        """Make helm's last good revision the newest again, or leave nothing where there is none; say which."""
        name, limit = step.lane.key, self.clocks.limit
        good = step.helm.last_good(name)
        if good is None:
            command, said = step.helm.uninstall(name, seconds=limit), "taken away, since nothing was deployed before."
        else:
            command, said = step.helm.rollback(name, good, seconds=limit), f"brought back to revision {good}."
        outcome = self._started(step, command)
        if not outcome.succeeded:
            raise OutcomeUnknown(f"What a helm that died left could not be mended: {outcome.last_line}"[:500])
        crashpoint("brought_back")
        return said

    def _started(self, step: "_Step", command: list[str]) -> guard.Outcome:
        """Run helm to its end. Raises Cancelled, ReleaseFailed (over its limit), OutcomeUnknown (it was killed)."""
        outcome = self._run(step.helm, command, step.lane, step.lock, lifeline=step.lifeline, log=step.log)
        match outcome.reason:
            case "exited" if outcome.exit_code is not None and outcome.exit_code >= 0:
                return outcome
            case "cancelled":
                raise Cancelled("Cancelled while helm was at work.")
            case "limit":
                raise ReleaseFailed(f"Helm was not done within {self.clocks.limit:.0f} s.", serving=True)
        raise OutcomeUnknown(f"Helm was killed in the middle of its work ({outcome.reason}, {outcome.exit_code}).")

    def _run(
        self,
        helm: Helm,
        command: list[str],
        lane: Lane,
        lock: int,
        *,
        lifeline: Lifeline | None = None,
        log: Log = lambda _line: None,
    ) -> guard.Outcome:
        return guard.run(
            command,
            cwd=lane.folder,
            log=log,
            lifeline=lifeline,
            env=helm.environment,
            limit=self.clocks.limit,
            silence=self.clocks.silence if lifeline else None,
            grace=self.clocks.grace,
            keep_fds=(lock,),
        )

    def _seen(self, step: "_Step") -> Revision | None:
        """Look at the target after helm was at work on it. Raises OutcomeUnknown: it doesn't answer any more."""
        try:
            return step.helm.latest(step.lane.key)
        except HelmAway as error:
            raise OutcomeUnknown(str(error)) from error

    def _unready(self, helm: Helm, lane: Lane) -> str:
        """Say what isn't ready, the first few of it; nothing when all is. Raises HelmAway, NeverReady."""
        return "; ".join(workloads.waiting_for(helm.resources(lane.key))[:MOST_NAMED])

    def _fault(self, helm: Helm, lane: Lane) -> str:
        """Say the same where nobody waits: what is not ready now and what never will be is all one."""
        try:
            return self._unready(helm, lane)
        except workloads.NeverReady as error:
            return str(error)

    def _reconciled(self, row: LaneRow) -> list[Correction]:
        key = row.target.lane_key
        helm = self._helm(row.target)
        latest = helm.latest(key)
        if row.live is None:
            if latest is None:
                return []
            self.remove(row.target, fence=row.fence)
            return [Correction(key, "helm's release was there, nothing should run: uninstalled", mended=True)]
        told = self._differs(helm, key, latest, row.live)
        return [Correction(key, f"{told}; a person has to deploy again", mended=False, drifted=True)] if told else []

    def _differs(self, helm: Helm, key: str, latest: Revision | None, live: SlotRow) -> str:
        """Say how what is there differs from what was deployed. Labels tell only who came by the portal: helm hands
        them on to whatever is upgraded by hand.
        """
        if latest is None:
            return "helm holds no release"
        if latest.status != "deployed" or latest.labels.get(DEPLOYMENT) != str(live.deployment_id):
            return f"helm holds revision {latest.number}, {latest.status}, of another origin"
        if latest.chart != charts.chart_of(live.release)["version"]:
            return f"helm holds revision {latest.number} with the chart {latest.chart}"
        if helm.values(key) != json.loads(charts.values_of(live.configuration.values)):
            return f"helm holds revision {latest.number} with other values"
        return "; ".join(workloads.changed(helm.rendered(key), helm.resources(key))[:MOST_NAMED])


@dataclass(frozen=True, slots=True)
class _Step:
    order: Order
    lane: Lane
    helm: Helm
    lifeline: Lifeline
    log: Log
    lock: int


_STEPS: dict[str, Callable[[HelmExecutor, _Step], StepResult]] = {
    HelmStep.VERIFY_CHART: HelmExecutor._verify_chart,
    HelmStep.REPAIR: HelmExecutor._repair,
    HelmStep.UPGRADE: HelmExecutor._upgrade,
    HelmStep.AWAIT_READY: HelmExecutor._await_ready,
}


def _words(labels: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in labels.items())


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Turn "no answer" into the words of the contract: helm was only asked, so nothing has changed by it."""
    try:
        yield
    except HelmAway as error:
        raise TargetUntouched(str(error), code="cluster") from error
