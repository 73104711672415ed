"""R1: the worker is killed at named places of each executor's own way; whoever comes after ends it, once and right."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured_settings

from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.builder import build
from apps.deployments.models import Deployment
from apps.environments.models import Hold
from apps.integrations.artifact_store import ArtifactStore
from deploy.local import make_greeter
from tests.deployments.crash_scenes import CUT, HELD, CrashScene, crash_scene
from tests.deployments.remote_scene import CASES

CLAIM = ["before_claim_commit", "after_claim_commit"]
SUCCESS = ["before_success_commit", "after_success_commit"]
FAILURE = ["before_failure_commit", "after_failure_commit"]


def _intents(*steps: str) -> list[str]:
    return [f"after_intent:{step}" for step in steps]


def _effects(*steps: str) -> list[str]:
    return [f"after_effect:{step}" for step in steps]


def _second(*places: str) -> list[str]:
    """The same on the way back, where the bad release has passed them before."""
    return [f"{place}#2" for place in places]


def _remote(*requests: str) -> tuple[list[str], list[str]]:
    asked = [f"{moment}_{method}" for method in requests for moment in ("before", "after")]
    there = [
        *CLAIM, "after_fence", *_intents("CHECK", "START", "FOLLOW", "VERIFY"), "asked_noted", *asked, "appeared",
        *_effects("START", "FOLLOW"), "after_result:START", *SUCCESS,
        "after_intent:START > after_probe:NOT_APPLIED", "after_effect:START > after_probe:APPLIED",
    ]  # fmt: skip
    back = [
        asked[-1], "after_effect:START", *FAILURE,
        *_second("after_claim_commit", "after_intent:START", "asked_noted", asked[-1], "after_effect:START"),
        "before_success_commit",
    ]  # fmt: skip
    return there, back


# What helm asks in the middle of an upgrade: its revision, the workload, the end of the old one, the end of its own.
HELM_MOMENTS = ("POST .*/secrets", "PATCH .*/deployments", "PUT .*/secrets/.*v1", "PUT .*/secrets/.*v2")
HELM = (
    [
        *CLAIM, "after_fence", *_intents("UPGRADE", "AWAIT_READY", "VERIFY"), "values_written", "helm_ended",
        *_effects("REPAIR", "UPGRADE", "AWAIT_READY"), *SUCCESS, *(f"{HELD}{request}" for request in HELM_MOMENTS),
        f"{CUT}PATCH .*/deployments", f"{CUT}PATCH .*/deployments > after_probe:BEGUN",
    ],
    [
        "helm_ended", "after_effect:UPGRADE", *FAILURE,
        *_second("after_claim_commit", "after_intent:UPGRADE", "values_written", "helm_ended", "after_effect:UPGRADE"),
        "before_success_commit",
    ],
)  # fmt: skip
LOCAL = (
    [
        *CLAIM, "after_fence", *_intents("INSTALL", "START_GREEN", "CHECK_GREEN", "SWITCH", "VERIFY", "KEEP_BLUE"),
        *_effects("INSTALL", "START_GREEN", "SWITCH"), "draft_begun", "draft_filled",
        "slot_emptied", "slot_recorded", "slot_written", "program_written", "program_read", "program_added",
        "weights_set", "weights_kept", *SUCCESS, "weights_set > after_probe:APPLIED",
    ],
    [
        "weights_set", *FAILURE, *_second("after_claim_commit", "after_intent:SWITCH", "weights_set", "weights_kept"),
        *_second("after_effect:SWITCH"), "program_stopped", "program_removed", "before_success_commit",
    ],
)  # fmt: skip
PLACES = {
    "local": LOCAL,
    "helm": HELM,
    "argocd": _remote("PATCH", "POST"),
    "github": _remote("POST"),
    "gitlab": _remote("POST"),
    "flux": _remote("PUT"),
    "tekton": _remote("POST"),
}
# Of a lane that nothing ran in: what only its first deployment does, and one that its first can be killed at as well.
FIRST = {
    "local": ["fragment_written", "proxy_reloaded", "program_written", "after_effect:SWITCH"],
    "helm": [f"{HELD}POST .*/secrets", f"{CUT}PATCH .*/deployments", "helm_ended"],
    **{kind: ["after_effect:START"] for kind in CASES},
}
# An outcome that is lost twice is given back, with what served before.
TWICE = {
    "local": ["program_read > program_written"],
    "helm": [f"{CUT}PATCH .*/deployments > brought_back"],
    **{kind: ["after_intent:START > after_retry_commit"] for kind in CASES},
}
# With every run of the suite; `make reliability` tries them all.
QUICK = {("local", "after_effect:SWITCH"), ("github", "after_effect:START")}

Record = Callable[[str, object], None]
Ending = tuple[Deployment, S]


def _each(places: dict[str, list[str]], quick: set[tuple[str, str]] = frozenset()) -> list[object]:
    every = [(kind, place) for kind, of_kind in places.items() for place in of_kind]
    return [
        pytest.param(*each, id="-".join(each), marks=[] if each in quick else [pytest.mark.reliability])
        for each in every
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, dict[str, Any]]]:
    """The manifests of the greeter's versions, made when somebody asks for them."""
    made: dict[str, dict[str, Any]] = {}

    def of_all() -> dict[str, dict[str, Any]]:
        if not made:
            repository = make_greeter.make(tmp_path_factory.mktemp("repositories") / "greeter.git")
            store = ArtifactStore(configured_settings.ARTIFACT_DIR)
            for tag in ("v1.0.0", "v1.0.1", make_greeter.UNHEALTHY):
                made[tag] = build(repository, repository.resolve(tag), store=store, log=lambda _line: None).manifest
        return made

    return of_all


@pytest.fixture
def scene(
    request, transactional_db: None, cast, settings, monkeypatch, tmp_path: Path, redis_url: str, built
) -> Iterator[CrashScene]:
    if request.param == "local":
        request.getfixturevalue("deployment_target")
    with crash_scene(request.param, cast, settings, monkeypatch, tmp_path, built) as made:
        yield made


@pytest.mark.parametrize(("scene", "place"), _each(FIRST, QUICK), indirect=["scene"])
def test_a_killed_worker_leaves_a_first_deployment_that_ends_well(
    scene: CrashScene, place: str, record_property: Record
) -> None:
    old, _new, _bad = scene.versions
    lost = scene.die_at(place, old)

    seconds = scene.recover()

    _require_right(scene, old, [(lost, S.SUCCEEDED)], seconds, record_property)


@pytest.mark.reliability
@pytest.mark.parametrize(("scene", "place"), _each({kind: p[0] for kind, p in PLACES.items()}), indirect=["scene"])
def test_a_killed_worker_leaves_a_deployment_that_ends_well(
    scene: CrashScene, place: str, record_property: Record
) -> None:
    old, new, _bad = scene.versions
    first = scene.deploy(old)
    lost = scene.die_at(place, new)

    seconds = scene.recover()

    _require_right(scene, new, [(first, S.SUCCEEDED), (lost, S.SUCCEEDED)], seconds, record_property)


@pytest.mark.reliability
@pytest.mark.parametrize(("scene", "place"), _each({kind: p[1] for kind, p in PLACES.items()}), indirect=["scene"])
def test_a_killed_worker_leaves_a_rollback_that_ends_well(
    scene: CrashScene, place: str, record_property: Record
) -> None:
    old, _new, bad = scene.versions
    first = scene.deploy(old)
    lost = scene.die_at(place, bad)

    seconds = scene.recover()

    ends = [(first, S.SUCCEEDED), (lost, S.FAILED), (scene.remote.rollback_of(lost), S.SUCCEEDED)]
    _require_right(scene, old, ends, seconds, record_property)
    with scene.world.everything():
        assert Hold.objects.open().filter(lane=scene.lane).exists()


@pytest.mark.reliability
@pytest.mark.parametrize(("scene", "place"), _each(TWICE), indirect=["scene"])
def test_two_killed_workers_leave_what_was_there_before(scene: CrashScene, place: str, record_property: Record) -> None:
    old, new, _bad = scene.versions
    first = scene.deploy(old)
    lost = scene.die_at(place, new)

    seconds = scene.recover()

    _require_right(scene, old, [(first, S.SUCCEEDED), (lost, S.ERRORED)], seconds, record_property)
    assert scene.fresh(lost).attempt == 2, scene.fresh(lost).outcome


def _require_right(
    scene: CrashScene, version: str, ends: Sequence[Ending], seconds: float, record_property: Record
) -> None:
    """Hold the rows against what stands outside: each deployment had its effect once, none is missing.

    What was given back had none. The figures are kept before anything is required of them.
    """
    ended = [(scene.fresh(each), state) for each, state in ends]
    begun, wanted = scene.effects([each for each, state in ended if state != S.ERRORED])
    serve = (scene.remote.live(), scene.serves())
    for name, value in {
        "of": scene.lane.executor,
        "killed": 1,
        "twice": (Counter(begun) - Counter(wanted)).total(),
        "lost": (Counter(wanted) - Counter(begun)).total(),
        "wrong verdict": sum(each.state != state for each, state in ended) + (serve != (version, version)),
        "slowest end after the death, s": seconds,
    }.items():
        record_property(name, value)
    for each, state in ended:
        assert each.state == state, each.outcome
    assert serve == (version, version)
    assert begun == wanted
    scene.require_kept()
