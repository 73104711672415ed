"""Going back: by itself after a failure, once; by a person at any time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef

from apps.approvals.actions.facts import order_of
from apps.audit.actors import SYSTEM
from apps.configuration.models import ConfigurationVersion
from apps.core.clock import clock_in
from apps.core.verdict import ALLOWED, Conflict, Verdict, refused
from apps.deployments import transitions, wording
from apps.deployments.engine.orders import configuration_of, executor_of, release_of, target_of
from apps.deployments.enums import TERMINAL, DeploymentKind, DeploymentState
from apps.deployments.executors.contract import Readiness, Stores
from apps.deployments.models import Deployment
from apps.environments.enums import Answer
from apps.environments.models import ArtifactAnswer, Lane
from apps.releases import data_migrations
from apps.releases.enums import ReleaseState
from apps.releases.models import DataMigration, Release

# How far back is looked for a release that can be brought back.
DEPTH = 5
NO_ANSWER = "no_answer"

# What a target said of releases with their configurations, by the keys of both.
Said = Mapping[tuple[UUID, UUID], Readiness]


class NotAsked(Conflict):
    """What could be brought back is another than what the target was asked about before the lane was locked."""

    code = "not_asked"
    next_step = "Look at what runs there now, and try again."


@dataclass(frozen=True, slots=True)
class RollbackTarget:
    """What would serve again. `is_warm`: it still runs in the idle slot, so that only the weights change.

    `migrations` are those that may have run since it did: their classes say what is to be done about the data.
    """

    release: Release
    configuration: ConfigurationVersion
    is_warm: bool
    detail: str
    migrations: tuple[DataMigration, ...] = ()

    @property
    def forward_only(self) -> tuple[DataMigration, ...]:
        """Those after which only restored data can be read by what would serve again."""
        return data_migrations.forward_only(self.migrations)


def begin(failed: Deployment, lane: Lane, *, why: str, now: datetime) -> Deployment | None:
    """This function will insert the rollback of a failed attempt: it has the lane at once, due and unclaimed.

    Shapes: None for the failure of a rollback, where nothing ran before, where the executor can't go back, and where it
    is `withheld`.
    """
    if failed.rollback_withheld:
        return None
    if failed.kind == DeploymentKind.ROLLBACK or lane.live_release is None or lane.live_configuration is None:
        return None
    if not executor_of(lane).can.roll_back:
        return None
    back = Deployment(
        workspace_id=failed.workspace_id,
        kind=DeploymentKind.ROLLBACK,
        lane=lane,
        target_key=lane.target_key,
        release=lane.live_release,
        configuration=lane.live_configuration,
        from_release=failed.release,
        from_configuration=failed.configuration,
        rolls_back=failed,
        state=DeploymentState.STARTING,
        reason=wording.plain(f"{failed} failed: {why}", 300),
        requested_at=now,
        requested_by_label=SYSTEM.label,
        deadline_at=clock_in(settings.ENGINE_ROLLBACK_LIMIT),
    )
    transitions.create(back, by=SYSTEM, why=f"Takes the lane over from {failed}.")
    return back


def withheld(failed: Deployment, lane: Lane) -> str:
    """This function will say why what ran before may not be brought back by itself; empty where it may (two queries).

    The attempt has reached the target, so its migrations may have run; what is forward-only is undone by nobody but a
    person who restores the data.
    """
    if failed.kind == DeploymentKind.ROLLBACK or lane.live_release is None:
        return ""
    crossed = data_migrations.forward_only(_crossed(lane, lane.live_release, failed.release))
    return wording.withheld(lane.live_release, crossed) if crossed else ""


def data_left(back: Deployment, lane: Lane) -> str:
    """This function will say what a person has to do about the data once a rollback succeeds; empty for nothing.

    Asked before the lane says that it did (two queries).
    """
    if back.kind != DeploymentKind.ROLLBACK:
        return ""
    return wording.data_left(data_migrations.reversible(_crossed(lane, back.release, back.from_release)))


def left_at(lane: Lane) -> list[Deployment]:
    """This function will find the failed attempts whose rollback was withheld since something succeeded here last."""
    later = Deployment.objects.filter(lane=lane, state=DeploymentState.SUCCEEDED, number__gt=OuterRef("number"))
    found = Deployment.objects.filter(~Exists(later), lane=lane).exclude(rollback_withheld="")
    return list(found.select_related("release"))


def ask(lane: Lane, candidates: Iterable[Deployment]) -> Said:
    """This function will ask the target about what could be brought back, best first, until something can be.

    That takes a while: nothing may be locked. Whoever locks the lane then hands on what was said.
    """
    said: dict[tuple[UUID, UUID], Readiness] = {}
    for each in candidates:
        if _is_eligible(lane, each.release):
            seen = said[each.release_id, each.configuration_id] = _readiness(lane, each.release, each.configuration)
            # What serves may be quarantined before it is chosen.
            if each.release_id != lane.live_release_id and (seen.ready or not seen.answered):
                break
    return said


def target_by_itself(lane: Lane, said: Said) -> RollbackTarget | Verdict:
    """This function will find what may be brought back without a person: as `target_for`, but not over data that only
    a person restores.
    """
    target = target_for(lane, said)
    if isinstance(target, RollbackTarget) and target.forward_only:
        return refused("forward_only", wording.withheld(target.release, target.forward_only))
    return target


def target_for(lane: Lane, said: Said | None = None) -> RollbackTarget | Verdict:
    """This function will find the last release that ran well here and can be brought back, else say why there is none.

    Whoever holds a lock gives what was `said` before; else the target is asked now.
    Shapes: a Verdict here is always a refusal, and so is falsy. Raises NotAsked: nothing was said of what is chosen.
    """
    if lane.live_release_id is None:
        return refused("nothing_live", "Nothing runs here yet, so there is nothing to go back from.")
    reasons: list[str] = []
    for deployment in candidates(lane):
        found = usable(lane, deployment, said)
        if isinstance(found, RollbackTarget):
            return found
        if found.reasons[0].code == NO_ANSWER:
            return found
        reasons.append(found.sentence)
    if not reasons:
        return refused("no_earlier_release", "No other release has run here before. Deploy a newer one instead.")
    return refused("no_rollback_target", " ".join([*dict.fromkeys(reasons), "Deploy a newer release instead."]))


def candidates(lane: Lane, to: Release | None = None) -> list[Deployment]:
    """This function will find the attempts whose releases ran well here and may be brought back, best first, or the one
    that brought this release last.
    """
    if to is not None:
        return list(_succeeded(lane).filter(release=to)[:1])
    live = live_deployment(lane)
    return [live, *earlier(lane)] if live and is_adrift(lane) else earlier(lane)


def earlier(lane: Lane) -> list[Deployment]:
    """This function will find the attempts that brought the last five other releases that ran well, newest first."""
    seen = {lane.live_release_id, lane.rolled_back_from_id}
    found: list[Deployment] = []
    for deployment in _succeeded(lane)[: DEPTH * 4]:
        if deployment.release_id not in seen and len(found) < DEPTH:
            seen.add(deployment.release_id)
            found.append(deployment)
    return found


def is_adrift(lane: Lane) -> bool:
    """This function will say whether nobody vouches that the target runs what the lane says: a person decides there.

    So it is after a rollback that failed or was withheld, and after an attempt that was abandoned; until something
    succeeds.
    """
    if left_at(lane):
        return True
    last = Deployment.objects.filter(lane=lane, state__in=TERMINAL).order_by("-number").first()
    if last is None:
        return False
    failed_back = last.kind == DeploymentKind.ROLLBACK and last.state == DeploymentState.FAILED
    return failed_back or last.state == DeploymentState.ABANDONED


def usable(lane: Lane, brought_by: Deployment, said: Said | None = None) -> RollbackTarget | Verdict:
    """This function will say whether what an attempt brought can be brought back without asking anybody outside.

    Raises NotAsked: as `target_for`.
    """
    release, configuration = brought_by.release, brought_by.configuration
    eligible = _is_eligible(lane, release)
    if not eligible:
        return eligible
    if said is None:
        seen = _readiness(lane, release, configuration)
    elif (release.pk, configuration.pk) in said:
        seen = said[release.pk, configuration.pk]
    else:
        raise NotAsked(f"What could be brought back here has just changed: it is {release.version} now.")
    if not seen.answered:
        return refused(NO_ANSWER, seen.detail)
    if not seen.ready:
        return refused("artifact_gone", seen.detail)
    return RollbackTarget(release, configuration, seen.warm, seen.detail, _crossed(lane, release))


def _is_eligible(lane: Lane, release: Release) -> Verdict:
    """Say whether the target is asked about a release at all."""
    if release.state == ReleaseState.QUARANTINED:
        return refused("quarantined", f"{release.version} is quarantined: {release.quarantine_reason}")
    if not executor_of(lane).can.roll_back:
        return refused("no_way_back", f"What runs by the executor “{lane.executor}” can't be rolled back.")
    if lost := _lost(lane, release):
        return refused("artifact_gone", f"{release.version} is not where it is taken from: {lost}")
    return ALLOWED


def _lost(lane: Lane, release: Release) -> str:
    """Return what was missing of a release that is taken from elsewhere; in the store it is looked for now."""
    if executor_of(lane).can.stores == Stores.ALL:
        return ""
    found = ArtifactAnswer.objects.filter(lane=lane, release=release, answer=Answer.MISSING)
    return found.values_list("detail", flat=True).first() or ""


def _readiness(lane: Lane, release: Release, configuration: ConfigurationVersion) -> Readiness:
    return executor_of(lane).readiness(target_of(lane), release_of(release), configuration_of(configuration))


def _crossed(lane: Lane, release: Release, *others: Release | None) -> tuple[DataMigration, ...]:
    """Return the migrations that may have run here since the release did; `others` have reached the target, too."""
    ran = [deployment.release for deployment in left_at(lane)] + [each for each in others if each]
    highest = max([*ran, lane.live_release or release], key=order_of)
    return data_migrations.between(release, highest)


def live_deployment(lane: Lane) -> Deployment | None:
    """This function will find the attempt that brought what runs now."""
    return _succeeded(lane).first()


def _succeeded(lane: Lane):  # type: ignore[no-untyped-def]  # django-stubs can't name the manager's own queryset
    rows = Deployment.objects.filter(lane=lane, state=DeploymentState.SUCCEEDED)
    return rows.select_related("release__artifact", "configuration").order_by("-number")
