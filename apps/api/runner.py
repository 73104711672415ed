"""From a pushed commit to a release, and on to Staging if it was pushed to the branch that deploys itself."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from apps.api.changes import changes_of
from apps.api.people import person_of
from apps.approvals import actions as approval_actions
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM, Actor
from apps.audit.source import coming_from, task_source
from apps.changelogs import actions as changelog_actions
from apps.core.verdict import Refusal
from apps.deployments.executors.builder import BuiltArtifact, build
from apps.deployments.executors.configured import artifact_store
from apps.deployments.executors.contract import ExecutorError, TargetUntouched
from apps.environments.enums import Tier
from apps.environments.models import Lane
from apps.integrations.git_repository import GitError, GitRepository
from apps.releases import actions as release_actions
from apps.releases import versions
from apps.releases.enums import PushState, ReleaseSource
from apps.releases.models import PushedCommit, Release, Service
from apps.releases.repositories import declared_migrations, repository_of
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

# Longer than a build may take; a worker that dies in it is followed by another after that.
CLAIM = timedelta(minutes=4)
BRANCH = "refs/heads/develop"
FOLLOWED = (Tier.DEV, Tier.QA, Tier.STAGING)


def see_to_pushes() -> None:
    """This function will do what is due now. The sweeper of every worker calls it."""
    with coming_from(task_source()):
        build_due(now=timezone.now())


def build_due(*, now: datetime) -> int:
    """This function will work on every push that waits, and return how many there were. A lost hint is found here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM pushes_due()")
        due = [row[0] for row in cursor.fetchall()]
    for pushed in due:
        try:
            with coming_from(task_source(push_id=pushed)):
                work_on(pushed, now=now)
        except Exception:
            log.exception("push %s could not be worked on; it stays due", pushed)
    return len(due)


def work_on(push_id: UUID, *, now: datetime) -> None:
    """This function will do what a push needs next: be built, or be asked for in the next environment."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_of_push(%s)", [push_id])
        workspace_id = cursor.fetchone()[0]
    if workspace_id is None:
        return
    with workspace_scope([workspace_id]):
        pushed = PushedCommit.objects.select_related("service").get(pk=push_id)
        claimed = PushedCommit.objects.filter(pk=push_id).claim(CLAIM)
    if claimed:
        _build(pushed, workspace_id, now)
    follow(push_id, workspace_id, now=now)


def _build(pushed: PushedCommit, workspace_id: UUID, now: datetime) -> None:
    by = _actor(pushed)
    repository = repository_of(pushed.service)
    try:
        _require_there(pushed, repository)
        # Outside any transaction: it takes seconds.
        built = build(repository, pushed.commit, store=artifact_store(), log=lambda line: log.debug("build: %s", line))
        with workspace_scope([workspace_id]):
            if not _still_waits(pushed):
                return
            release = release_built(pushed, repository, built, by=by, now=now)
            release_actions.settle_push(pushed, release=release, by=by, now=now)
    except TargetUntouched as error:
        log.warning("%s of %s is built later: %s", pushed, pushed.service, error)
    except (Refusal, ExecutorError, GitError) as error:
        with workspace_scope([workspace_id]):
            if not _still_waits(pushed):
                return
            release_actions.refuse_push(pushed, reason=str(error), by=by, now=now)


def _require_there(pushed: PushedCommit, repository: GitRepository) -> None:
    found = repository.resolve(pushed.ref.removeprefix("refs/"))
    if found != pushed.commit and (pushed.ref != BRANCH or not repository.is_ancestor(pushed.commit, found)):
        raise GitError(f"{pushed.name} is another commit in the repository.")


def _still_waits(pushed: PushedCommit) -> bool:
    """Lock the push and say whether nobody else, whose claim had run out, was quicker."""
    return PushedCommit.objects.locked().get(pk=pushed.pk).state == PushState.RECEIVED


@transaction.atomic
def release_built(
    pushed: PushedCommit, repository: GitRepository, built: BuiltArtifact, *, by: Actor, now: datetime
) -> Release:
    """This function will create and seal the release of a pushed commit that was built."""
    service = Service.objects.locked().get(pk=pushed.service_id)
    previous = _previous(service)
    since = previous.commit if previous else None
    changes = changes_of(repository, since, pushed.commit)
    commit, declared = repository.commit(pushed.commit), declared_migrations(repository, pushed.commit)
    release = release_actions.create_release(
        service,
        version=_version(pushed, service, previous, changes),
        manifest=built.manifest | ({"migrations": declared} if declared else {}),
        source=ReleaseSource.WEBHOOK,
        commit=pushed.commit,
        tag="" if pushed.ref == BRANCH else pushed.name,
        notes="\n".join(f"- {change['text']}" for change in changes),
        notes_source=f"Commits since {previous.version}" if previous else "Commits",
        published_date=commit.committed_at.date(),
        author=person_of(pushed.author_email),
        committer=person_of(pushed.committer_email),
        author_label=commit.author[:150],
        by=by,
        now=now,
    )
    changelog_actions.write_changes(release, changes=changes, by=by, now=now)
    return release_actions.seal_release(release, by=by, now=now)


def follow(push_id: UUID, workspace_id: UUID, *, now: datetime) -> None:
    """This function will ask for the next environment of a release of the branch, until Staging; never Production."""
    with workspace_scope([workspace_id]):
        pushed = PushedCommit.objects.locked().select_related("service", "release").get(pk=push_id)
        if pushed.release is None or pushed.ref != BRANCH or pushed.followed_at is not None:
            return
        outcome = _ask_for_next(pushed, pushed.release, now)
        if outcome is not None:
            pushed.followed_at, pushed.outcome = now, outcome[:300]
            pushed.save(update_fields=["followed_at", "outcome"])


def _ask_for_next(pushed: PushedCommit, release: Release, now: datetime) -> str | None:
    """Return how it ended; None while something is under way."""
    for tier in FOLLOWED:
        lanes = Lane.objects.standing().filter(
            service=pushed.service, environment__tier=tier, workspace_id=pushed.workspace_id
        )
        for lane in lanes.select_related("environment").order_by("environment__position"):
            asked = Promotion.objects.filter(release=release, lane=lane).order_by("-number").first()
            if asked is None:
                return _ask(release, lane, now)
            if asked.is_open:
                return None
            if asked.state != "COMPLETED":
                return f"{asked.label} in {lane.environment}: {asked.outcome}"
    return "Runs in all environments up to Staging."


def _ask(release: Release, lane: Lane, now: datetime) -> str | None:
    try:
        with transaction.atomic():
            approval_actions.request_promotion(release, lane=lane, by=SYSTEM, now=now, reason="Pushed to develop")
    except Refusal as refusal:
        return str(refusal)
    return None


def _version(pushed: PushedCommit, service: Service, previous: Release | None, changes: list[dict[str, object]]) -> str:
    if pushed.ref != BRANCH:
        return pushed.name.removeprefix("v")
    core = versions.next_core(
        versions.parse(previous.version) if previous else None,
        breaking=any(change["is_breaking"] for change in changes),
        feature=any(change["kind"] == "FEATURE" for change in changes),
    )
    taken = service.releases.filter(version__startswith=f"{core}-develop.").values_list("version", flat=True)
    numbers = [int(text.rpartition(".")[2]) for text in taken if text.rpartition(".")[2].isdigit()]
    return f"{core}-develop.{max(numbers, default=0) + 1}"


def _previous(service: Service) -> Release | None:
    return service.releases.filter(precedence="~").exclude(state="DRAFT").newest_first().first()


def _actor(pushed: PushedCommit) -> Actor:
    return Actor("SYSTEM", f"webhook:{pushed.service.slug}", f"{pushed.pusher_label} (Git push)"[:150])
