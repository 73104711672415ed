from datetime import UTC, datetime, timedelta

import pytest
from django.http import QueryDict

from apps.accounts.models import User
from apps.core.keyset import page_of
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import enter_scope

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def people(db):
    """Seven people in pairs of the same moment, so that the key has to decide."""
    enter_scope([PLATFORM_WORKSPACE_ID], actor=None)
    for number in range(7):
        User.objects.create(username=f"p{number}", date_joined=START + timedelta(minutes=number // 2))
    return User.objects.filter(username__startswith="p")


def page(people, query=""):
    return page_of(people, QueryDict(query), moment="date_joined", size=3)


def test_older_and_back_again_shows_each_row_once(people):
    first = page(people)
    second = page(people, f"before={first.older}")
    third = page(people, f"before={second.older}")

    assert [len(each.rows) for each in (first, second, third)] == [3, 3, 1]
    assert first.newer is None
    assert third.older is None
    newest_first = list(people.order_by("-date_joined", "-pk"))
    assert [*first.rows, *second.rows, *third.rows] == newest_first
    assert page(people, f"after={third.newer}").rows == second.rows
    assert page(people, f"after={second.newer}").rows == first.rows


def test_a_row_that_is_added_does_not_shift_the_page(people):
    first = page(people)
    User.objects.create(username="p-new", date_joined=START + timedelta(days=1))

    assert page(people, f"before={first.older}").rows[0] not in first.rows


@pytest.mark.parametrize("cursor", ["x", "%00", "====", "MjAyNg", "w7w", "a" * 3000])
def test_a_cursor_that_can_not_be_read_is_taken_as_none(people, cursor):
    assert page(people, f"before={cursor}").rows == page(people).rows
    assert page(people, f"after={cursor}").rows == page(people).rows
