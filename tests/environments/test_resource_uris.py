import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.environments.resource_uris import UriInvalid, normalised, without_secrets

STORE = "postgresql://db.example.com/orders"


@pytest.mark.parametrize(
    "spelling",
    [
        "postgresql://db.example.com/orders",
        "POSTGRESQL://DB.Example.COM/orders",
        "postgres://db.example.com/orders",
        "postgresql://db.example.com:5432/orders",
        "postgresql://db.example.com:05432/orders",
        "postgresql://db.example.com./orders",
        "postgresql://db.example.com/orders/",
        "postgresql://db.example.com//orders",
        "postgresql://db.example.com/./x/../orders",
        "postgresql://user:secret@db.example.com/orders",
        "postgresql://user:se%40cret@db.example.com/orders?sslmode=require#x",
        "postgresql://db.example.com/%6frders",
        "postgresql://%64b.example.com/orders",
        "  postgresql://db.example.com/orders ",
    ],
)
def test_every_spelling_of_a_resource_is_one(spelling):
    assert normalised(spelling) == STORE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql://db.example.com/orders", "postgresql://db.example.com/Orders"),  # names in a path have case
        ("postgresql://db.example.com/orders", "postgresql://db.example.com:5433/orders"),
        ("postgresql://db.example.com/orders", "mysql://db.example.com/orders"),
        ("s3://bucket/a%2Fb", "s3://bucket/a/b"),
        ("http://example.com/", "https://example.com/"),
    ],
)
def test_different_resources_stay_different(one, other):
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize(
    ("spelling", "result"),
    [
        ("https://Bücher.example/Regal", "https://xn--bcher-kva.example/Regal"),
        ("https://xn--bcher-kva.example:443/Regal", "https://xn--bcher-kva.example/Regal"),
        ("nats://\uff25VENTS.example", "nats://events.example"),
        ("redis://[2001:0DB8:0:0::1]:6379/0", "redis://[2001:db8::1]/0"),
        ("rediss://cache.example/0", "redis://cache.example/0"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("kafka://b.example:9092,a.example/orders", "kafka://a.example,b.example/orders"),
        ("s3://bucket/%c3%a9", "s3://bucket/%C3%A9"),
        ("s3://bucket/é", "s3://bucket/%C3%A9"),
        ("kubernetes://cluster/name_space", "kubernetes://cluster/name_space"),
    ],
)
def test_names_and_ports_are_written_one_way(spelling, result):
    assert normalised(spelling) == result


@pytest.mark.parametrize(
    "text",
    [
        "", "orders", "//db/orders", "postgresql:///orders", "postgresql://", "postgresql://user@/x", "http://a b/c",
        "http://a\x00b", "http://a\nb", "http://a\\b", "http://a:99999", "http://a:0", "http://a:b", "http://[::g]/",
        "http://a/%zz", "http://a/%", "http://..", "http://-ß-.example/\u202e", "javascript:alert(1)",
        "http://" + "a" * 64 + ".example", "http://a/" + "b" * 500, "http://a/\ud800",
    ],
)  # fmt: skip
def test_what_names_no_resource_is_refused(text):
    with pytest.raises(UriInvalid):
        normalised(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:secret@DB.example/orders?password=secret", "postgresql://DB.example/orders"),
        ("redis://:p%40ss@cache:6379/0", "redis://cache:6379/0"),
        ("amqp://a@b:c@host/v", "amqp://host/v"),
    ],
)
def test_no_secret_is_shown(text, shown):
    assert without_secrets(text) == shown


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    try:
        once = normalised(f"https://example.com/{text}")
    except UriInvalid:
        return
    assert normalised(once) == once
    assert once.isascii()
