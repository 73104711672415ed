"""Filters of the trail that are kept under a name: a person's own, or shared with the readers of a workspace."""

from functools import partial

import pytest
from django.test import Client

from apps.audit import saved_filters
from apps.audit.actors import SYSTEM
from apps.audit.models import SavedFilter
from apps.audit.saved_filters import FilterChanged, NameTaken
from apps.core.verdict import ALLOWED, Denied
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.approvals.test_races import at_once
from tests.cast import NOW, Cast
from tests.world import World, last_event

CREATE = "/audit/filters/"


def _save(cast: Cast, name: str = "Refusals", *, is_shared: bool = False) -> SavedFilter:
    return saved_filters.save_filter(
        name, "outcome=REFUSED", workspace_id=cast.platform.pk, is_shared=is_shared, person_id=cast.auditor.pk,
        by=cast.auditor, now=NOW,
    )  # fmt: skip


def test_filter_is_saved_opened_renamed_and_removed(client: Client, cast: Cast) -> None:
    client.force_login(cast.auditor)

    made = client.post(CREATE, {"name": "Refusals", "outcome": "REFUSED", "before": "x"})
    opened = client.get(made.url)
    page = client.get(opened.url)
    assert opened.url.startswith("/audit/?outcome=REFUSED&saved=")
    assert page.context["form"].cleaned_data["outcome"] == "REFUSED"
    assert last_event("saved_filter.saved").change["query"]["after"] == "outcome=REFUSED"

    client.post(f"{made.url}name/", {"name": "What was refused"})
    assert "What was refused" in client.get("/audit/").content.decode()
    assert last_event("saved_filter.renamed").change["name"] == {"before": "Refusals", "after": "What was refused"}

    client.post(f"{made.url}removal/")
    assert "What was refused</a>" not in client.get("/audit/").content.decode()
    assert last_event("saved_filter.removed").change["query"]["before"] == "outcome=REFUSED"


def test_own_filter_is_nobody_elses_and_a_shared_one_is_offered(client: Client, cast: Cast) -> None:
    own, shared = _save(cast), _save(cast, "For all", is_shared=True)
    client.force_login(cast.security)

    page = client.get("/audit/")

    assert [each.name for each in page.context["saved"]] == ["For all"]
    assert client.get(f"{CREATE}{own.pk}/").status_code == 404
    assert client.get(f"{CREATE}{shared.pk}/").status_code == 302
    assert client.post(f"{CREATE}{shared.pk}/removal/").status_code == 403
    assert client.post(f"{CREATE}{shared.pk}/name/", {"name": "Mine now"}).status_code == 403


def test_filter_is_shared_with_a_workspace_of_ones_own_alone(client: Client, cast: Cast) -> None:
    client.force_login(cast.auditor)

    assert client.post(CREATE, {"name": "x", "share": str(cast.platform.pk)}).status_code == 302
    assert client.post(CREATE, {"name": "y", "share": str(cast.elsewhere.pk)}).status_code == 422
    assert client.post(CREATE, {"name": "", "q": "x"}).status_code == 422
    assert client.post(CREATE, {"name": "z", "since": "yesterday"}).status_code == 422


def test_name_is_used_once(world: World) -> None:
    _save(world.cast)
    other = _save(world.cast, "Others")

    with pytest.raises(NameTaken):
        _save(world.cast)
    with pytest.raises(NameTaken):
        saved_filters.rename_filter(other, "Refusals", person_id=world.cast.auditor.pk, by=world.cast.auditor)
    with pytest.raises(Denied):
        saved_filters.remove_filter(other, person_id=world.cast.security.pk, keeps=ALLOWED, by=world.cast.security)


@pytest.mark.django_db(transaction=True)
def test_race_of_renaming_and_removing_has_one_winner(world: World) -> None:
    with world.everything():
        saved = _save(world.cast)
    person = {"person_id": world.cast.auditor.pk, "by": world.cast.auditor}

    results = at_once(
        world,
        partial(saved_filters.rename_filter, saved, "Other", **person),
        partial(saved_filters.remove_filter, saved, keeps=ALLOWED, **person),
    )

    assert len([each for each in results if isinstance(each, FilterChanged)]) == 1


def _leave(cast: Cast) -> None:
    """The auditor reads the platform's trail no more."""
    workspace_actions.end_role(Membership.objects.get(user=cast.auditor), by=SYSTEM, now=NOW)


def test_shared_filter_of_somebody_who_left_stays_and_is_taken_over(client: Client, cast: Cast) -> None:
    shared = _save(cast, "For all", is_shared=True)
    detail = f"{CREATE}{shared.pk}/"
    client.force_login(cast.security)
    assert client.post(f"{detail}owner/").status_code == 403  # its owner is still there
    _leave(cast)

    client.force_login(cast.devops)
    page = client.get(client.get(detail).url).content.decode()
    assert "Auditor, who shared “For all”, reads this trail no more" in page
    assert "Take it over" not in page
    assert client.post(f"{detail}owner/").status_code == 403
    assert client.post(f"{detail}removal/").status_code == 403

    client.force_login(cast.security)
    assert "Take it over" in client.get(client.get(detail).url).content.decode()
    assert client.post(f"{detail}owner/").status_code == 302
    shared.refresh_from_db()
    assert (shared.owner_id, shared.owner_label, shared.is_shared) == (cast.security.pk, "Security", True)
    change = last_event("saved_filter.taken_over").change
    assert change == {"owner": {"before": str(cast.auditor.pk), "after": str(cast.security.pk)}}
    assert client.post(f"{detail}name/", {"name": "Ours"}).status_code == 302


def test_shared_filter_of_somebody_who_left_is_removed_by_who_keeps_the_trail(client: Client, cast: Cast) -> None:
    shared, own = _save(cast, "For all", is_shared=True), _save(cast)
    _leave(cast)
    client.force_login(cast.security)

    assert client.post(f"{CREATE}{own.pk}/removal/").status_code == 404
    assert client.post(f"{CREATE}{shared.pk}/removal/").status_code == 302
    assert list(SavedFilter.objects.all()) == [own]


@pytest.mark.django_db(transaction=True)
def test_race_of_two_who_take_over_has_one_winner(world: World) -> None:
    with world.everything():
        saved = _save(world.cast, is_shared=True)
        _leave(world.cast)
    people = (world.cast.security, world.cast.engineering_manager)

    results = at_once(
        world,
        *(
            partial(saved_filters.take_over_filter, saved, person_id=person.pk, keeps=ALLOWED, by=person)
            for person in people
        ),
    )

    assert len([each for each in results if isinstance(each, FilterChanged)]) == 1
