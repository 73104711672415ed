"""Secrets in what a deployment writes: whatever form they stand in and wherever the text was cut."""

import base64
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.deployments.log import lines_of
from apps.deployments.masking import MASK, Masker

SECRET = "s3cr3t/with+a space&ü"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"
ENCODERS = {
    "plain": str,
    "quoted": lambda text: quote(text, safe=""),
    "quoted as a path": quote,
    "quoted as a form": quote_plus,
    "quoted in small letters": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with its letters": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
}


def in_base64(text: str, *, before: str = "", after: str = "", is_url_safe: bool = False) -> str:
    encode = base64.urlsafe_b64encode if is_url_safe else base64.b64encode
    return encode((before + text + after).encode()).decode()


def core_of(text: str, before: int) -> str:
    """The characters of base64 that stand for the text alone, wherever in a group of three bytes it begins."""
    size = len(text.encode())
    return in_base64(text, before="\0" * before)[-(-before * 8 // 6) : (before + size) * 8 // 6]


def masked(secrets: list[str], *batches: str) -> list[str]:
    masker = Masker(secrets)
    return [line for batch in batches for line in masker.masked(lines_of(batch))]


@pytest.mark.parametrize("name", ENCODERS)
def test_a_secret_is_masked_as_encoders_write_it(name: str) -> None:
    assert masked([SECRET], f"<{ENCODERS[name](SECRET)}>") == [f"<{MASK}>"]


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", "!", "!!"])
@pytest.mark.parametrize("is_url_safe", [False, True])
@pytest.mark.parametrize("is_padded", [False, True])
def test_a_secret_is_masked_inside_base64(before: str, after: str, is_url_safe: bool, is_padded: bool) -> None:
    secret = SECRET + "?>"
    text = in_base64(secret, before=before, after=after, is_url_safe=is_url_safe)
    text = text if is_padded else text.rstrip("=")
    core = core_of(secret, len(before) % 3)
    core = core.replace("+", "-").replace("/", "_") if is_url_safe else core

    assert text.count(core) == 1
    assert masked([secret], f"Basic {text} ok") == [f"Basic {text.replace(core, MASK)} ok"]


def test_a_secret_of_several_lines_is_masked_whole_and_line_by_line() -> None:
    assert masked([KEY], KEY) == [MASK] * 4
    assert masked([KEY], *(f"    {line}  # key" for line in KEY.splitlines())) == [f"    {MASK}  # key"] * 4
    assert masked([KEY], json.dumps({"key": KEY})) == [f'{{"key": "{MASK}"}}']
    assert masked([KEY], KEY.replace("\n", "\r\n")) == [MASK] * 4


def test_base64_that_was_wrapped_is_masked() -> None:
    wrapped = base64.encodebytes(KEY.encode() * 2).decode()
    shown = masked([KEY], wrapped)

    assert all(MASK in line for line in shown)
    assert sum(len(line.replace(MASK, "")) for line in shown) <= 8


def test_a_secret_cut_over_lines_is_masked_in_each() -> None:
    assert masked(["correct-horse"], "is corr\nect-ho\nrse.") == [f"is {MASK}", MASK, f"{MASK}."]


def test_a_secret_cut_over_batches_is_masked_though_nothing_is_held_back() -> None:
    assert masked(["correct-horse"], "is corr", "", "ect-ho", "rse.") == [f"is {MASK}", "", MASK, f"{MASK}."]
    # Three characters may be any word's; the rest of the secret is masked when it comes.
    assert masked(["correct-horse"], "is cor", "rect-horse.") == ["is cor", f"{MASK}."]
    assert masked(["correct-horse"], "is cor", "rosion") == ["is cor", "rosion"]


def test_what_only_begins_like_a_secret_is_shown_when_more_follows() -> None:
    assert masked(["correct-horse"], "correct-h\nis what it says") == ["correct-h", "is what it says"]


def test_secrets_that_overlap_or_stand_side_by_side_leave_nothing() -> None:
    assert masked(["abcdef", "defghi"], "<abcdefghi>") == [f"<{MASK}>"]
    assert masked(["abcdef", "abcdefghi"], "<abcdefghi> <abcdefg>") == [f"<{MASK}> <{MASK}g>"]
    assert masked(["abcdef", "uvwxyz"], "<abcdefuvwxyz>") == [f"<{MASK}>"]
    assert masked(["aaaaaa"], "<aaaaaaaaaa>") == [f"<{MASK}>"]


def test_a_mask_never_completes_a_secret() -> None:
    (shown,) = masked(["visible" + MASK, "hidden-one"], "visiblehidden-one")

    assert shown.startswith("visible")
    assert "visible" + MASK not in shown


def test_colours_in_the_middle_of_a_secret_do_not_hide_it() -> None:
    assert masked(["correct-horse"], "is \x1b[31mcorrect\x1b[0m-horse.") == [f"is \x1b[31m{MASK}\x1b[0m."]


def test_what_a_terminal_would_not_show_is_not_stored() -> None:
    assert masked(["correct-horse"], "a\x1b]0;correct-horse\x07b\x1b[2Kc") == ["abc"]
    assert masked([], "a\x1b[2Kb\x00c\ud800") == ["ab\ufffdc\ufffd"]


def test_progress_leaves_its_last_state() -> None:
    assert lines_of("10%\r50%\r100%\r\nnext\n") == ["100%", "next"]
    assert lines_of("") == [""]


def test_what_is_too_short_to_be_secret_is_shown() -> None:
    assert masked(["yes", "   "], "yes it   is") == ["yes it   is"]


SIGNS = st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs", "Zs"])
SECRETS = st.lists(
    st.one_of(
        st.text(SIGNS, min_size=6, max_size=24),
        st.text(st.sampled_from("ab•/+"), min_size=6, max_size=12),  # prefixes and overlaps of one another
        st.lists(st.text(SIGNS, min_size=6, max_size=20), min_size=2, max_size=4).map("\n".join),
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def leaks(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Secrets, and text with many forms of them, cut into batches and lines at any place."""
    secrets = draw(SECRETS)
    planted = st.builds(
        lambda secret, encode: encode(secret), st.sampled_from(secrets), st.sampled_from(list(ENCODERS.values()))
    )
    encoded = st.builds(
        lambda secret, before, after, is_url_safe: in_base64(
            secret, before=before, after=after, is_url_safe=is_url_safe
        ),
        st.sampled_from(secrets),
        st.text(SIGNS, max_size=4),
        st.text(SIGNS, max_size=4),
        st.booleans(),
    )
    noise = st.one_of(st.text(SIGNS, max_size=5), st.sampled_from(["ab", "\x1b[1m", "\x1b[0m", MASK, "\n", " "]))
    text = "".join(draw(st.lists(st.one_of(planted, encoded, noise), max_size=12)))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return secrets, pieces


@settings(max_examples=300, deadline=None)
@given(leaks())
def test_no_form_of_a_secret_is_in_what_is_stored(leak: tuple[list[str], list[str]]) -> None:
    secrets, pieces = leak
    stored = masked(secrets, *pieces)
    whole = "".join(stored).replace("\x1b[1m", "").replace("\x1b[0m", "")
    places = [whole, "\n".join(stored), "".join(stored)]

    for secret in secrets:
        forms = {encode(part) for part in [secret, *secret.split("\n")] for encode in ENCODERS.values()}
        forms |= {form.replace("\n", "") for form in forms}
        cores = {core_of(secret, before) for before in range(3)}
        forms |= cores | {core.replace("+", "-").replace("/", "_") for core in cores}
        for form in forms:
            assert not any(form in place for place in places), form


@given(st.lists(st.text(st.sampled_from("0123456789 \n\x1b[m;•")), max_size=5))
def test_text_without_secrets_is_stored_as_it_would_be_without_any(batches: list[str]) -> None:
    assert masked(["correct-horse", KEY], *batches) == masked([], *batches)
