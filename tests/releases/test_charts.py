import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.approvals.artifacts import artifact_facts
from apps.integrations.artifact_store import ArtifactStore
from apps.releases import actions, manifests
from apps.releases.enums import ArtifactKind
from apps.releases.models import Release
from tests import charts
from tests.cast import NOW
from tests.drill import post, signed_in, text_of
from tests.world import World, make_manifest, make_service

OCI = "oci://registry.example.test:5000/charts/greeter@sha256:" + "a" * 64


@pytest.fixture
def service(world: World):
    return make_service(world.cast.platform, "orders", program=charts.NAME, artifact_kind=ArtifactKind.CHART)


@pytest.fixture
def manifest() -> dict[str, Any]:
    return charts.manifest_of("1.0.0", charts.archive("1.0.0"))


@pytest.mark.parametrize("source", ["store", OCI])
def test_a_chart_is_named_by_the_digest_of_its_archive(service, manifest, source: str, world: World) -> None:
    manifest["chart"]["source"] = source

    release = actions.create_release(
        service, version="1.0.0", manifest=manifest, source="FORM", by=world.cast.release_engineer, now=NOW
    )

    assert release.artifact_digest == "sha256:" + manifest["chart"]["sha256"]
    assert (release.artifact.kind, release.artifact.size) == ("CHART", manifest["chart"]["size"])


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"name": "other"}, "The manifest is of 'other'"),
        ({"filename": "../greeter.tgz"}, "not the file name"),
        ({"filename": "greeter.whl"}, "not the file name"),
        ({"sha256": "A" * 64}, "no SHA-256"),
        ({"size": 0}, "no SHA-256"),
        ({"size": "1"}, "wrong type"),
        ({"version": ""}, "no version"),
        ({"source": "https://charts.example.test/greeter.tgz"}, "source is store"),
        ({"source": "oci://registry.example.test/greeter:latest"}, "source is store"),
        ({"source": "oci://user:secret@registry.example.test/greeter@sha256:" + "a" * 64}, "source is store"),
        ({"more": "x"}, "has the fields"),
    ],
)
def test_a_chart_that_can_not_be_verified_is_refused(manifest, change: dict[str, Any], wrong: str) -> None:
    manifest["chart"] |= change

    with pytest.raises(manifests.ManifestInvalid, match=wrong):
        manifests.check(manifest, program=charts.NAME, kind=ArtifactKind.CHART)


def test_wheels_are_no_chart_and_a_chart_is_no_wheels(manifest) -> None:
    with pytest.raises(manifests.ManifestInvalid, match="program and chart"):
        manifests.check(make_manifest(), program="greeter", kind=ArtifactKind.CHART)
    with pytest.raises(manifests.ManifestInvalid, match="program and wheels"):
        manifests.check(manifest, program=charts.NAME)


def test_the_form_takes_a_chart_and_the_page_shows_its_file(world: World, service, manifest) -> None:
    data = {"service": service.slug, "version": "1.0.0", "manifest": json.dumps(manifest), "seal": "on"}

    created = signed_in(world.cast.release_engineer).post("/releases/new/", data, follow=True)

    assert created.status_code == 200, text_of(created)
    assert "greeter-1.0.0.tgz" in text_of(created)
    assert Release.objects.get(service=service).state == "SEALED"


@pytest.mark.parametrize("manifest", ["[]", '"x"', '{"program": "greeter", "chart": []}', '{"chart": {}}', "nonsense"])
@pytest.mark.parametrize("slug", ["orders", ""])
def test_the_form_says_what_is_wrong_with_a_manifest(world: World, service, manifest: str, slug: str) -> None:
    data = {"service": slug, "version": "1.0.0", "manifest": manifest, "digest": "sha256:" + "0" * 64}

    answer = post(world.cast.release_engineer, "/releases/new/", data)

    assert answer.status_code == 422
    assert not Release.objects.filter(service=service).exists()


def test_a_chart_that_only_the_store_had_is_gone_with_it(world: World, service, manifest, tmp_path) -> None:
    release = actions.create_release(
        service, version="1.0.0", manifest=manifest, source="FORM", by=world.cast.release_engineer, now=NOW
    )
    store = ArtifactStore(tmp_path)

    missing = artifact_facts(release, release.artifact, store)
    store.put([charts.archive("1.0.0")], sha256=manifest["chart"]["sha256"])
    there = artifact_facts(release, release.artifact, store)

    assert missing is not None
    assert there is not None
    assert (missing.parts, missing.stored, missing.gone) == (1, 0, ("greeter-1.0.0.tgz",))
    assert (there.parts, there.stored, there.gone) == (1, 1, ())


def test_a_packaged_chart_is_kept_and_its_manifest_printed(settings, tmp_path: Path, capsys) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"
    archive = tmp_path / "greeter-1.0.0.tgz"
    archive.write_bytes(charts.archive("1.0.0"))

    call_command("keep_chart", str(archive))

    manifest = json.loads(capsys.readouterr().out)
    assert manifest == charts.manifest_of("1.0.0", archive.read_bytes())
    assert ArtifactStore(settings.ARTIFACT_DIR).has(manifest["chart"]["sha256"])


def test_its_images_are_named_as_a_cluster_reads_them(settings, tmp_path: Path, capsys) -> None:
    settings.ARTIFACT_DIR, digest = tmp_path / "artifacts", "sha256:" + "a" * 64
    archive = tmp_path / "greeter-1.0.0.tgz"
    archive.write_bytes(charts.archive("1.0.0"))
    names = ("r.example:5000/shop/a:1.0", "r.example:5000/shop/b", "r.example/c:2")

    call_command("keep_chart", str(archive), *(f"--image={name}@{digest}" for name in names))

    assert json.loads(capsys.readouterr().out)["images"] == [
        {"name": "r.example:5000/shop/a", "digest": digest, "tag": "1.0"},
        {"name": "r.example:5000/shop/b", "digest": digest},
        {"name": "r.example/c", "digest": digest, "tag": "2"},
    ]
    with pytest.raises(CommandError, match="has no digest"):
        call_command("keep_chart", str(archive), "--image=r.example/c:2")


@pytest.mark.parametrize("content", [b"", b"not an archive", charts.archive("")])
def test_what_is_not_a_packaged_chart_is_not_kept_as_one(settings, tmp_path: Path, content: bytes) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"
    archive = tmp_path / "greeter-1.0.0.tgz"
    archive.write_bytes(content)

    with pytest.raises(CommandError, match="is not a packaged chart"):
        call_command("keep_chart", str(archive))


def test_a_chart_with_images_is_named_by_them_too(service, manifest, world: World) -> None:
    images = [{"name": "registry.example.test:5000/shop/orders", "digest": "sha256:" + digit * 64} for digit in "ab"]
    digests = {
        manifests.digest_of(manifest | {"images": named})
        for named in (images, images[::-1], images[:1], [images[0] | {"tag": "1.0.0"}, images[1]])
    }

    release = actions.create_release(
        service, version="1.0.0", manifest=manifest | {"images": images}, source="FORM",
        by=world.cast.release_engineer, now=NOW,
    )  # fmt: skip

    assert len(digests | {manifests.digest_of(manifest)}) == 4
    assert release.artifact_digest == manifests.digest_of(manifest | {"images": images})


@pytest.mark.parametrize(
    ("images", "wrong"),
    [
        ([], "lists 1 to 50"),
        ({}, "lists 1 to 50"),
        ([{"name": "r.example/a"}], "has the fields"),
        ([{"name": "orders", "digest": "sha256:" + "a" * 64}], "does not say registry and name"),
        ([{"name": "https://r.example/a", "digest": "sha256:" + "a" * 64}], "does not say registry and name"),
        ([{"name": "r.example/a/../b", "digest": "sha256:" + "a" * 64}], "does not say registry and name"),
        ([{"name": "r.example/a", "digest": "sha512:" + "a" * 64}], "has no digest"),
        ([{"name": "r.example/a", "digest": "sha256:" + "a" * 64, "tag": "a b"}], "not a tag"),
        ([{"name": "r.example/a", "digest": "sha256:" + "a" * 64}] * 2, "lists an image twice"),
    ],
)
def test_images_that_can_not_be_found_again_are_refused(manifest, images: Any, wrong: str) -> None:
    with pytest.raises(manifests.ManifestInvalid, match=wrong):
        manifests.check(manifest | {"images": images}, program=charts.NAME, kind=ArtifactKind.CHART)
