import dataclasses
from typing import Any

import pytest

from apps.deployments.executors.contract import ArtifactRejected, ReleaseRef
from apps.deployments.executors.manifest import Wheel, digest_of, needed_here, program_wheel, wheels_of
from tests.mirror import release

PURE = Wheel("greeter", "1.0.0", "greeter-1.0.0-py3-none-any.whl", "a" * 64, 100)


def sealed(*wheels: Wheel, program: str = "greeter", **manifest: Any) -> ReleaseRef:
    rows = [dataclasses.asdict(wheel) for wheel in wheels]
    return ReleaseRef("1.0.0", digest_of(rows), {"program": program, "wheels": rows} | manifest)


def test_the_digest_covers_every_wheel_and_no_order() -> None:
    server = Wheel("waitress", "3.0.2", "waitress-3.0.2-py3-none-any.whl", "b" * 64, 200)
    rows = [dataclasses.asdict(wheel) for wheel in (PURE, server)]

    assert digest_of(rows) == digest_of(rows[::-1])
    assert digest_of(rows) != digest_of(rows[:1])
    assert digest_of(rows) != digest_of([rows[0], rows[1] | {"sha256": "c" * 64}])


def test_every_release_of_the_catalogue_has_its_digest_and_fits_this_machine() -> None:
    for program, version in (("pypiserver", "1.5.2"), ("radicale", "3.8.1"), ("wsgidav", "4.3.5")):
        found = release(program, version)

        assert program_wheel(found).version == version
        assert {wheel.name for wheel in needed_here(wheels_of(found))} >= {program, "waitress"}


def test_a_sealed_manifest_can_not_change() -> None:
    changed = dataclasses.replace(sealed(PURE), digest="sha256:" + "0" * 64)

    with pytest.raises(ArtifactRejected, match="sealed with"):
        wheels_of(changed)


@pytest.mark.parametrize(
    "wheel",
    [
        dataclasses.replace(PURE, filename="other-1.0.0-py3-none-any.whl"),
        dataclasses.replace(PURE, version="1.0.1"),
        dataclasses.replace(PURE, filename="greeter.tar.gz"),
        dataclasses.replace(PURE, sha256="short"),
        dataclasses.replace(PURE, size=0),
    ],
)
def test_a_wheel_that_is_not_what_it_says_is_refused(wheel: Wheel) -> None:
    with pytest.raises(ArtifactRejected, match="can't be read"):
        wheels_of(sealed(wheel))


@pytest.mark.parametrize("manifest", [{}, {"wheels": [{"name": "x"}]}, {"wheels": 3}])
def test_a_manifest_without_its_parts_is_refused(manifest: dict[str, Any]) -> None:
    with pytest.raises(ArtifactRejected, match="can't be read"):
        wheels_of(ReleaseRef("1.0.0", "sha256:0", manifest))


@pytest.mark.parametrize("program", ["../serve", "a/b", "", "A B"])
def test_a_program_is_never_a_path(program: str) -> None:
    with pytest.raises(ArtifactRejected, match="not a name of a program"):
        wheels_of(sealed(PURE, program=program))


def test_a_wheel_for_another_machine_alone_is_refused() -> None:
    foreign = Wheel("greeter", "1.0.0", "greeter-1.0.0-cp311-cp311-win_amd64.whl", "a" * 64, 100)

    with pytest.raises(ArtifactRejected, match="no wheel for this machine"):
        needed_here((foreign,))


def test_markers_decide_what_is_needed() -> None:
    old = Wheel("legacy", "1.0", "legacy-1.0-py3-none-any.whl", "b" * 64, 1, marker="python_version < '3'")

    assert needed_here((PURE, old)) == (PURE,)
