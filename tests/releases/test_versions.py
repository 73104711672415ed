import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.releases.enums import ReleaseKind
from apps.releases.versions import VersionInvalid, blocked_by, kind_after, next_core, parse

# semver.org, section 11, and what its regular expression is tested with.
ASCENDING = [
    "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-A", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
    "1.0.0-alpha-b", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1-develop.9",
    "1.0.1-develop.10", "1.0.1", "1.2.0", "1.10.0", "2.0.0-0", "2.0.0",
]  # fmt: skip


def test_the_order_is_that_of_the_standard():
    keys = [parse(text).key for text in ASCENDING]

    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


identifiers = st.one_of(
    st.integers(0, 10**9).map(str),
    st.from_regex(r"[0-9A-Za-z-]*[A-Za-z-][0-9A-Za-z-]*", fullmatch=True).filter(lambda text: len(text) < 12),
)
prereleases = st.lists(identifiers, max_size=4)


@given(prereleases, prereleases)
def test_the_order_is_that_of_the_reference_implementation(one, other):
    import semver

    texts = ["1.0.0" + (f"-{'.'.join(fields)}" if fields else "") for fields in (one, other)]
    ours, theirs = [parse(text).key for text in texts], [semver.Version.parse(text) for text in texts]

    assert (ours[0] < ours[1], ours[0] == ours[1]) == (theirs[0] < theirs[1], theirs[0] == theirs[1])


def test_build_metadata_takes_no_part_in_the_order():
    assert parse("1.0.0+a").key == parse("1.0.0+b").key
    assert str(parse("1.0.0-rc.1+a.b")) == "1.0.0-rc.1+a.b"


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.02.3", "1.2.03", "1.2.3-01", "1.2.3-", "1.2.3-a..b", "1.2.3+",
        " 1.2.3", "1.2.3\n", "1.2.3-ä", "\uff11.2.3", "1.2.3-" + "a" * 80, "2147483648.0.0", "-1.0.0", "1.2.3-a_b",
        "1e1.0.0", "<script>", "1.0.0; DROP TABLE", "\x00",
    ],
)  # fmt: skip
def test_what_is_no_version_is_refused_with_a_reason(text):
    with pytest.raises(VersionInvalid) as refusal:
        parse(text)
    assert len(str(refusal.value)) > 20


@pytest.mark.parametrize(
    ("previous", "new", "kind"),
    [
        (None, "0.1.0", ReleaseKind.INITIAL),
        ("1.2.3", "1.2.4", ReleaseKind.PATCH),
        ("1.2.3", "1.2.9", ReleaseKind.PATCH),
        ("1.2.3", "1.3.0", ReleaseKind.MINOR),
        ("1.2.3", "2.0.0", ReleaseKind.MAJOR),
        ("1.2.3", "2.0.0-rc.1", ReleaseKind.PRERELEASE),
        (None, "1.0.0-rc.1", ReleaseKind.PRERELEASE),
    ],
)
def test_the_kind_is_the_step_from_what_was_before(previous, new, kind):
    assert kind_after(parse(previous) if previous else None, parse(new)) == kind


@pytest.mark.parametrize(
    ("existing", "new", "blocker"),
    [
        (["1.0.0"], "1.0.1", None),
        (["1.0.0", "2.0.0"], "1.0.1", None),  # an older line goes on
        (["1.0.0", "2.0.0"], "1.1.0", None),
        (["1.0.3", "2.0.0"], "1.0.2", "1.0.3"),
        (["1.4.0"], "1.2.0", "1.4.0"),
        (["1.4.0"], "1.2.1", "1.4.0"),
        (["3.0.0"], "2.0.0", "3.0.0"),
        (["1.0.0"], "0.9.0", "1.0.0"),
        (["1.0.0"], "1.0.0-rc.1", "1.0.0"),
        (["1.0.0", "1.1.0-rc.2"], "1.1.0-rc.1", "1.1.0-rc.2"),
        (["1.0.0", "1.1.0-rc.1"], "1.1.0-develop.1", None),
        (["1.0.0", "1.1.0-rc.1"], "1.1.0", None),
    ],
)
def test_nothing_is_put_in_below_what_is_there(existing, new, blocker):
    found = blocked_by(parse(new), [parse(text) for text in existing])

    assert (str(found) if found else None) == blocker


@pytest.mark.parametrize(
    ("previous", "breaking", "feature", "core"),
    [
        (None, False, False, "0.1.0"),
        ("1.2.3", False, False, "1.2.4"),
        ("1.2.3", False, True, "1.3.0"),
        ("1.2.3", True, True, "2.0.0"),
        ("0.2.3", True, False, "0.3.0"),
    ],
)
def test_the_next_version_follows_from_what_has_come_since(previous, breaking, feature, core):
    assert next_core(parse(previous) if previous else None, breaking=breaking, feature=feature) == core
