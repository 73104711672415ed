"""Tag, commit and version belong together, and the repository has the last word where the portal holds it."""

import json
import shutil

import pytest
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.integrations.git_repository import GitRepository
from apps.releases import actions, repositories
from apps.releases.models import Release
from tests.cast import NOW
from tests.drill import post, text_of
from tests.world import World, make_manifest

pytestmark = pytest.mark.django_db


def create(world: World, version: str = "1.1.0", **fields: str) -> Release:
    return actions.create_release(
        world.service,
        version=version,
        manifest=make_manifest(version=version),
        source="FORM",
        by=world.cast.release_engineer,
        now=NOW,
        **fields,
    )


def test_the_tag_says_which_commit_it_is(world: World, repository: GitRepository) -> None:
    assert create(world, tag="v1.1.0").commit == repository.resolve("v1.1.0")


def test_a_short_commit_is_written_down_whole(world: World, repository: GitRepository) -> None:
    whole = repository.resolve("v1.1.0")

    assert create(world, tag="v1.1.0", commit=whole[:9]).commit == whole


@pytest.mark.parametrize(
    ("fields", "refusal", "sentence"),
    [
        ({"tag": "release-1.1.0"}, repositories.TagUnknown, "The repository of Greeter has no tag release-1.1.0."),
        ({"tag": "v1.1.0", "commit": "abcdef1"}, repositories.CommitUnknown, "no commit abcdef1"),
        ({"commit": "f" * 40}, repositories.CommitUnknown, "no commit ffff"),
        ({"tag": "v1.0.1"}, repositories.TagOfAnotherVersion, "The tag v1.0.1 does not name the version 1.1.0."),
        ({"tag": "v11.1.0"}, repositories.TagOfAnotherVersion, "does not name the version 1.1.0"),
        ({"tag": "--upload-pack=x 1.1.0"}, repositories.TagUnknown, "has no tag --upload-pack=x 1.1.0"),
    ],
)
def test_what_the_repository_does_not_have_is_refused(
    world: World, repository: GitRepository, fields: dict[str, str], refusal: type[Exception], sentence: str
) -> None:
    events = AuditEvent.objects.count()

    with pytest.raises(refusal, match=sentence):
        create(world, **fields)

    assert Release.objects.count() == 1
    assert AuditEvent.objects.count() == events


def test_a_tag_of_another_commit_is_refused(world: World, repository: GitRepository) -> None:
    other = repository.resolve("v1.0.0")

    with pytest.raises(repositories.CommitOfAnotherTag, match=other[:12]):
        create(world, tag="v1.1.0", commit=other)


def test_a_damaged_repository_is_not_taken_for_one_that_agrees(world: World, repository: GitRepository) -> None:
    shutil.rmtree(repository.path / "objects")

    with pytest.raises(repositories.TagUnknown):
        create(world, tag="v1.1.0")


def test_a_repository_elsewhere_is_not_asked(world: World) -> None:
    release = create(world, tag="v1.1.0", commit="abcdef1")

    assert (release.tag, release.commit) == ("v1.1.0", "abcdef1")


def test_the_form_says_it_at_the_tag_and_keeps_what_was_typed(world: World, repository: GitRepository) -> None:
    manifest = json.dumps(make_manifest(version="9.9.9"))
    fields = {"service": "greeter", "version": "9.9.9", "tag": "v9.9.9", "manifest": manifest, "seal": "on"}

    answer = post(world.cast.release_engineer, reverse("releases:release-create"), fields)

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["tag"]
    assert "has no tag v9.9.9. Push the tag first" in text_of(answer)
    assert 'value="v9.9.9"' in text_of(answer)
    assert not Release.objects.filter(version="9.9.9").exists()
