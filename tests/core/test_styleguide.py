import re

import pytest

from apps.accounts.models import User
from apps.core import tones
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import enter_scope


@pytest.fixture
def person(db):
    enter_scope([PLATFORM_WORKSPACE_ID], actor=None)
    return User.objects.create_user("manager", password="x" * 14, display_name="Engineering manager")


def test_it_shows_every_tone_every_outcome_and_each_tag(client, person):
    person.is_staff = True
    person.save(update_fields=["is_staff"])
    client.force_login(person)

    html = client.get("/styleguide/").content.decode()

    for tone in filter(None, tones.TONES):
        assert f'class="st {tone}"' in html
        assert f'class="pill {tone}"' in html
    for _, word in tones.GATES.values():
        assert f">{word}: </span>" in html
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_it_is_not_for_everyone(client, person):
    client.force_login(person)

    assert client.get("/styleguide/").status_code == 404
