"""Is what a lane could go back to still where it is taken from? Asked time and again, and what was said is kept.

Gates and pages read what was kept: nobody outside is asked while somebody waits for a page, or anything is locked
(ADR 0118).
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.configuration.models import ConfigurationVersion
from apps.core import live
from apps.core.clock import CLOCK, clock_in
from apps.deployments import wording
from apps.deployments.engine import registry, rollback
from apps.deployments.engine.orders import configuration_of, executor_of, release_of, target_of
from apps.deployments.executors.contract import Stores
from apps.environments import addresses
from apps.environments.enums import Answer
from apps.environments.models import ArtifactAnswer, Lane
from apps.integrations.oci_registry import Differs, Gone, Reference, RegistryProblem
from apps.releases.models import Release
from apps.workspaces.scope import whole_scope, workspace_scope


@dataclass(frozen=True, slots=True)
class Question:
    """One release of a lane, to be asked for by who has the `turn`; all is loaded, so that no query is needed."""

    row: UUID
    turn: UUID
    lane: Lane
    release: Release
    configuration: ConfigurationVersion


@dataclass(frozen=True, slots=True)
class Said:
    """`answer` is None where nobody who knows has answered: then `detail` says why."""

    answer: Answer | None
    detail: str


def due(at_most: int) -> list[tuple[UUID, UUID]]:
    """This function will find the lanes of all workspaces where something is to be asked for now: (workspace, lane).

    What has just come to run is asked for at once where gates go by the answer. A lane on this machine waits for its
    next turn: its gates look into the store themselves.
    """
    rows = ArtifactAnswer.objects.filter(lane=OuterRef("pk"))
    is_new = ~Exists(rows.filter(release=OuterRef("live_release"))) & ~Q(executor=addresses.LOCAL)
    with whole_scope():
        lanes = Lane.objects.standing().filter(
            is_new | ~Exists(rows) | Exists(rows.filter(due_at__lte=CLOCK)),
            live_release__isnull=False,
            live_configuration__isnull=False,
        )
        return list(lanes.order_by("pk").values_list("workspace_id", "pk")[:at_most])


def ask_for(workspace_id: UUID, lane_id: UUID) -> int:
    """This function will ask for what is due of a lane and keep what is said; return how many answers were kept."""
    with workspace_scope([workspace_id]):
        questions = take(lane_id)
    kept = 0
    for question in questions:
        said = ask(question)
        with workspace_scope([workspace_id]):
            kept += keep(question, said)
    return kept


def take(lane_id: UUID) -> list[Question]:
    """This function will take what is due of a lane, so that nobody else asks for it meanwhile.

    What ran too long ago to be gone back to is forgotten.
    """
    lane = Lane.objects.with_cell().get(pk=lane_id)
    wanted = dict(_wanted(lane))
    known = ArtifactAnswer.objects.filter(lane=lane)
    known.exclude(release__in=wanted).delete()
    ArtifactAnswer.objects.bulk_create(
        (
            ArtifactAnswer(
                workspace_id=lane.workspace_id, lane=lane, release=release, digest=release.artifact_digest, due_at=CLOCK
            )
            for release in wanted
        ),
        ignore_conflicts=True,
    )
    turn = uuid4()
    known.filter(due_at__lte=CLOCK).update(turn=turn, due_at=clock_in(settings.ARTIFACTS_SOON))
    rows = dict(known.filter(turn=turn).values_list("release_id", "pk"))
    return [
        Question(rows[release.pk], turn, lane, release, configuration)
        for release, configuration in wanted.items()
        if release.pk in rows
    ]


def ask(question: Question) -> Said:
    """This function will ask who would have to deliver a release, which takes a while: nothing may be locked."""
    lane, release = question.lane, question.release
    if lane.executor not in settings.EXECUTORS:
        return Said(None, f"The executor “{lane.executor}” is switched off here.")
    executor = executor_of(lane)
    seen = executor.readiness(target_of(lane), release_of(release), configuration_of(question.configuration))
    if not seen.answered:
        return Said(None, seen.detail)
    if seen.warm:  # what is kept is read long after that
        return Said(Answer.HELD, "It was still running beside what serves.")
    if not seen.ready or executor.can.stores == Stores.ALL:
        return Said(Answer.HELD if seen.ready else Answer.MISSING, seen.detail)
    references = _elsewhere(release, executor.can.stores)
    if not references:
        return Said(Answer.UNKNOWN, f"{seen.detail} The manifest names nothing that a registry could be asked for.")
    return _asked(release, references)


def _elsewhere(release: Release, stores: Stores) -> list[Reference]:
    """Return what registries would have to deliver: by digest, wherever a tag points by now."""
    manifest = release.artifact.manifest
    named = {"images": manifest.get("images", [])} if stores == Stores.CHART else manifest
    return [replace(reference, tag="") for reference in registry.references_of(named)]


def _asked(release: Release, references: list[Reference]) -> Said:
    try:
        registry.registries_for(release).verify(references)
    except (Differs, Gone) as problem:
        return Said(Answer.MISSING, str(problem))
    except RegistryProblem as problem:
        return Said(None, str(problem))
    hosts = ", ".join(sorted({reference.registry for reference in references}))
    return Said(Answer.HELD, f"{hosts} has all that its manifest names there ({len(references)}), by digest.")


def keep(question: Question, said: Said) -> bool:
    """This function will write down what was said, if this is still whose turn it is; who was late changes nothing."""
    row = ArtifactAnswer.objects.locked().filter(pk=question.row, turn=question.turn).first()
    if row is None:
        return False
    detail = wording.plain(said.detail, 300)
    # That what has just been deployed is there is no news.
    is_first = row.answered_at is None and said.answer == Answer.HELD
    is_news = said.answer not in (None, row.answer) and not is_first
    is_well = said.answer in (Answer.HELD, Answer.UNKNOWN)
    told: dict[str, Any] = {"trouble": detail}
    if said.answer is not None:
        told = {"answer": said.answer, "detail": detail, "answered_at": CLOCK, "trouble": ""}
    ArtifactAnswer.objects.filter(pk=row.pk).update(
        **told,
        asked_at=CLOCK,
        asked_by=socket.gethostname()[:150],
        due_at=clock_in(settings.ARTIFACTS_EVERY if is_well else settings.ARTIFACTS_SOON),
        turn=None,
    )
    if is_news and said.answer is not None:
        _tell(question, before=row, answer=said.answer, detail=detail)
    return True


def _tell(question: Question, *, before: ArtifactAnswer, answer: Answer, detail: str) -> None:
    lane, release = question.lane, question.release
    audit.record(
        "artifact.answered",
        by=SYSTEM,
        target=lane,
        summary=f"{wording.place(lane)}: {release.version} is {answer.label.lower()}. {detail}"[:300],
        outcome="FAILED" if answer == Answer.MISSING else "SUCCESS",
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        before={"answer": before.answer if before.answered_at else ""},
        after={"answer": answer.value},
        target_details={"release": release.version, "digest": before.digest},
    )
    live.hint(lane.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")


def _wanted(lane: Lane) -> Iterator[tuple[Release, ConfigurationVersion]]:
    """Yield what runs, and the last that ran before, each with the configuration that would come with it."""
    if (live := lane.live_release) is None or lane.live_configuration is None:
        return
    yield Release.objects.select_related("artifact").get(pk=live.pk), lane.live_configuration
    for deployment in rollback.earlier(lane):
        yield deployment.release, deployment.configuration
