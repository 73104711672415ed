"""What of a configuration may be shown, and what is taken out of logs."""

import re

import pytest

from apps.configuration import actions
from apps.configuration.secrecy import MASK, secrets_in, shown
from apps.deployments.log import lines_of
from apps.deployments.masking import Masker
from apps.environments.models import Lane
from tests.cast import NOW
from tests.world import World, last_event

DATABASE = "postgresql://portal:s3cr%2Ft@db.example.org:5432/portal?sslmode=require"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (DATABASE, f"postgresql://portal:{MASK}@db.example.org:5432/portal?sslmode=require"),
        ("redis://:abc@cache/0", f"redis://:{MASK}@cache/0"),
        ("amqp://a:p@ss@one, amqp://b:word@two", f"amqp://a:{MASK}@one, amqp://b:{MASK}@two"),
        ("mongodb://u:word@h1:1,h2:2/db", f"mongodb://u:{MASK}@h1:1,h2:2/db"),
        ("https://example.org:8443/@user", "https://example.org:8443/@user"),
        ("https://user@example.org", "https://user@example.org"),
        ("https://ghp_0123456789ab@git.example.org/x", f"https://{MASK}@git.example.org/x"),
        ("ssh://deployment@git.example.org/x", "ssh://deployment@git.example.org/x"),
        ("https://example.org/x?password=a%20b&page=2", f"https://example.org/x?password={MASK}&page=2"),
        ("postgresql://db/x?sslmode=require&password=word", f"postgresql://db/x?sslmode=require&password={MASK}"),
        ("at 12:30@noon", "at 12:30@noon"),
    ],
)
def test_what_opens_doors_in_an_address_is_not_shown_whatever_its_name(value: str, said: str) -> None:
    assert shown("DATABASE_URL", {"DATABASE_URL": value}) == said


def test_a_name_that_speaks_of_a_secret_shows_nothing_of_it() -> None:
    assert shown("API_TOKEN", {"API_TOKEN": "abc"}) == MASK
    assert shown("API_TOKEN", {}) is None
    assert secrets_in({"DB_PASSWORD_URL": DATABASE, "WORKERS": 4}) == {DATABASE, "s3cr%2Ft", "s3cr/t"}


def test_a_token_and_a_parameter_of_an_address_are_masked_as_written_and_as_read() -> None:
    said = secrets_in({"FEED": "https://ghp_0123456789ab@git.example.org/x", "MAIL": "smtps://mail/?api_key=a%20b+c"})

    assert said == {"ghp_0123456789ab", "a%20b+c", "a b+c", "a b c"}


@pytest.mark.parametrize("cut", range(1, 8))
def test_such_a_password_is_masked_in_the_log_as_written_and_as_read_wherever_it_is_cut(cut: int) -> None:
    masker = Masker(secrets_in({"DATABASE_URL": DATABASE}))
    said = []
    for text in (f"at {DATABASE}", "read s3cr/t", f"cut {'s3cr%2Ft'[:cut]}", f"{'s3cr%2Ft'[cut:]} end"):
        said += masker.masked(lines_of(text))

    assert said[:2] == [f"at {DATABASE.replace('s3cr%2Ft', MASK)}", f"read {MASK}"]
    left = said[2].removeprefix("cut ").replace(MASK, "") + said[3].removesuffix(" end").replace(MASK, "")
    assert len(left) < 4, "only what is too short to be known may stay of the first part"


def test_the_ledger_takes_no_secret_of_a_new_version(world: World) -> None:
    lane, said = Lane.objects.get(pk=world.lane(world.qa).pk), {"GREETING": "Hello", "API_TOKEN": "first"}
    by = {"reason": "Moved", "by": world.cast.devops, "now": NOW}
    actions.write_version(lane, values={**said, "DATABASE_URL": DATABASE}, **by)
    actions.write_version(lane, values={"GREETING": "Hi", "API_TOKEN": "second", "DATABASE_URL": "none"}, **by)

    change = last_event("configuration.written").change

    was, became = change["API_TOKEN"]["before"], change["API_TOKEN"]["after"]
    assert was != became
    assert all(re.fullmatch("hmac:[0-9a-f]{16}", told) for told in (was, became))
    assert change["GREETING"] == {"before": "Hello", "after": "Hi"}
    assert change["DATABASE_URL"]["after"] == "none"
    assert re.fullmatch(
        r"postgresql://hmac:[0-9a-f]{16}@db\.example\.org:5432/portal\?sslmode=require",
        change["DATABASE_URL"]["before"],
    )
