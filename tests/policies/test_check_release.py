"""check_manifest and check_values: what CI and pre-commit are told of a release before it is pushed."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from apps.policies.release_sources import read_manifest, read_values
from apps.policies.sources import InvalidSource
from apps.releases import manifests
from deploy.launcher.paths import ROOT
from tests import charts

DIGEST = "sha256:" + "a" * 64
MANIFEST = charts.manifest_of("1.0.0", b"chart") | {"images": [{"name": "r.example/shop/a", "digest": DIGEST}]}
VALUES = f"""\
image: r.example/shop/a:1.0@{DIGEST}
sidecarImage: {{repository: r.example/shop/a, tag: "1.0", digest: {DIGEST}}}
jobs:
  images:
    - r.example/shop/a@{DIGEST}
    - {{name: r.example/shop/a, digest: "{DIGEST}"}}
global: &shared
  image: {{repository: "", tag: "", pullPolicy: Always}}
  imagePullPolicy: Always
  imagePullSecrets: [registry]
again: *shared
existingSecret: orders
tokenPath: /run/token
password: ""
adminPassword: ${{PASSWORD}}
url: postgresql://orders@db/orders
"""


def check(command: str, *arguments: object) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command(command, *map(str, arguments), stdout=out)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue()
    return 0, out.getvalue()


def test_a_good_manifest_and_good_values_end_with_0(tmp_path: Path) -> None:
    manifest, values, empty = tmp_path / "manifest.json", tmp_path / "values.yaml", tmp_path / "empty.yaml"
    manifest.write_text(json.dumps(MANIFEST, indent="\t"))
    values.write_text(VALUES)
    empty.write_text("# nothing\n")

    said = f"{manifest}: good, greeter with 1 files and 1 images, {manifests.digest_of(MANIFEST)}.\n"
    assert check("check_manifest", manifest) == (0, said)
    assert check("check_values", values, "--manifest", manifest) == (0, f"{values}: good, 4 images, all by digest.\n")
    assert check("check_values", empty) == (0, f"{empty}: good, 0 images, all by digest.\n")


@pytest.mark.parametrize(
    ("change", "place", "why"),
    [
        ({"images": [{"name": "r.example/a", "digest": "latest"}]}, (13, 7), "has no digest"),
        ({"images": [{"name": "a", "digest": DIGEST}]}, (12, 7), "does not say registry"),
        ({"images": []}, (10, 3), "lists 1 to 50"),
        ({"program": "other"}, (2, 3), "The manifest is of 'greeter'"),
        ({"more": 1}, (1, 1), "has the fields program and chart"),
        ({"chart": {}}, (3, 3), "Each chart has the fields"),
    ],
)
def test_a_mistake_of_a_manifest_is_said_with_its_place(
    change: dict[str, Any], place: tuple[int, int], why: str
) -> None:
    chart = {"name": "greeter", "version": "1.0.0", "filename": "greeter-1.0.0.tgz", "sha256": "b" * 64, "size": 1}
    text = json.dumps({"program": "greeter", "chart": chart, **change}, indent=2)

    with pytest.raises(InvalidSource) as refused:
        read_manifest(text.encode(), program="greeter" if "more" not in change else "")

    (mistake,) = refused.value.mistakes
    assert why in mistake.reason
    assert (mistake.line, mistake.column) == place


@pytest.mark.parametrize("text", ["[]", "7", '{"program": 1}', '{"program": "a", "wheels": {}}'])
def test_what_is_no_manifest_at_all_is_said_too(text: str) -> None:
    with pytest.raises(InvalidSource):
        read_manifest(text.encode())


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("a:\n  image: r.example/a:1.0\n", (2, 3), "image: r.example/a:1.0 is not named by its digest"),
        ("a:\n- initImage: {repository: b, tag: latest}\n", (2, 3), "initImage: b:latest is not named by its digest"),
        ("image: {repository: b, digest: sha256:1}", (1, 1), "is not named by its digest"),
        ("images:\n  main: b:1\n", (2, 3), "main: b:1 is not named by its digest"),
        ("images: [b]", (1, 10), "images: b is not named by its digest"),
        (f"image: c@sha256:{'c' * 64}", (1, 1), "the manifest does not name c@"),
        ("db:\n  password: hunter2\n", (2, 3), "password: holds a secret in clear text"),
        ("url: postgresql://a:b@db/c", (1, 1), "url: holds a secret in clear text"),
        ("a: 1\na: 2\n", (2, 1), "a: stands there twice"),
        ("- a", (1, 1), "Values are fields with values"),
        ("a: [", (1, 5), "This is not YAML"),
        ("a: &x [*x]\nimage: b", (2, 1), "is not named by its digest"),
        ("[" * 41, (1, 41), "Nested deeper than 40 levels"),
    ],
)
def test_a_mistake_of_values_is_said_with_its_place(text: str, place: tuple[int, int], why: str) -> None:
    with pytest.raises(InvalidSource) as refused:
        read_values(text.encode(), digests={DIGEST})

    (mistake,) = refused.value.mistakes
    assert why in mistake.reason
    assert (mistake.line, mistake.column) == place


def test_anchors_that_multiply_are_read_once() -> None:
    lines = ["a0: &a0 {image: b}", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]

    with pytest.raises(InvalidSource) as refused:
        read_values("\n".join(lines).encode())

    assert len(refused.value.mistakes) == 1


def test_a_file_that_can_not_be_read_ends_with_2(tmp_path: Path) -> None:
    values, none = tmp_path / "values.yaml", tmp_path / "none.json"
    values.write_text(VALUES)

    assert check("check_manifest", none) == (2, f"{none}:1:1: The file can't be read: No such file or directory.\n")
    assert check("check_values", values, "--manifest", none)[0] == 2
    code, report = check("check_values", values, "--manifest", values)
    assert (code, "It is no manifest, see check_manifest." in report) == (2, True)


@pytest.mark.parametrize("name", ["check-manifest", "check-values"])
def test_they_run_from_another_repository_and_as_hooks(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("image: b")
    ran = subprocess.run(
        [ROOT / "deploy" / name, "a.yaml"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "EAIP_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, ran.stderr, ran.stdout.startswith("a.yaml:1:1: ")) == (1, "", True)
    assert f"entry: deploy/{name}" in (ROOT / ".pre-commit-hooks.yaml").read_text()
