import pytest

from apps.changelogs import actions
from apps.changelogs.models import ChangelogEntry
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.workspaces.scope import workspace_scope
from tests.cast import NOW
from tests.world import HOSTILE, World, last_event


def write(world: World, release, *texts, by=None):
    changes = [{"text": text, "kind": "FIX"} for text in texts]
    return actions.write_changes(release, changes=changes, by=by or world.cast.release_engineer, now=NOW)


def between(world: World, low, high):
    return [entry.text for entry in actions.between(world.service, low, high)]


def test_changes_are_written_in_order_and_in_place_of_what_was_there(world: World):
    write(world, world.release, "first", "second")
    write(world, world.release, "other")

    assert [str(entry) for entry in world.release.changes.all()] == ["other"]
    event = last_event("changelog.edited")
    assert event.change["changes"] == {"before": ["first", "second"], "after": ["other"]}


def test_what_changes_is_all_that_came_between(world: World):
    first, second, third = world.release, world.next_release("1.0.1"), world.next_release("1.1.0")
    candidate = world.next_release("1.2.0-rc.1")
    for release in (first, second, third, candidate):
        write(world, release, f"in {release.version}", "too")

    assert between(world, first, third) == ["in 1.1.0", "too", "in 1.0.1", "too"]
    assert between(world, third, first) == between(world, first, third)  # what going back would undo
    assert between(world, None, second) == ["in 1.0.1", "too"]
    assert between(world, third, candidate) == ["in 1.2.0-rc.1", "too"]
    assert between(world, first, first) == []


@pytest.mark.parametrize(
    "change",
    [{}, {"text": "x", "kind": "MAGIC"}, {"text": "x", "more": 1}, {"text": 1}, {"text": "x", "scope": 1}, "x", None],
)
def test_a_malformed_change_is_refused(world: World, change):
    with pytest.raises(actions.ChangesInvalid):
        actions.write_changes(world.release, changes=[change], by=world.cast.release_engineer, now=NOW)
    assert not ChangelogEntry.objects.exists()


@pytest.mark.parametrize("text", ["", "a\x00b", "x" * 501])
def test_texts_have_bounds(world: World, text):
    with pytest.raises(TextInvalid):
        write(world, world.release, text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_kept_as_they_are(world: World, text):
    assert write(world, world.release, text)[0].text == text


def test_who_may_not_release_may_not_write(world: World, auditor):
    with pytest.raises(Denied):
        write(world, world.release, "x", by=auditor)


def test_published_changes_are_read_by_every_workspace(world: World):
    write(world, world.release, "for all")

    with workspace_scope([world.cast.elsewhere.pk]):
        assert between(world, None, world.release) == ["for all"]
