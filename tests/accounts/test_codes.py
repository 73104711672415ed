from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts import codes
from apps.core import sealing
from tests.accounts.factors import SECRET, code_at


@pytest.mark.parametrize(("second", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_rfc_6238(second, code):
    at = datetime.fromtimestamp(second, UTC)

    assert codes.step_of(f" {code[:3]} {code[3:]}", SECRET, after=0, now=at) == second // 30


@given(late=st.integers(-150, 150), used=st.integers(-3, 3))
def test_a_code_counts_for_a_step_before_and_after_and_once(late, used):
    now = datetime(2026, 11, 18, 19, 0, tzinfo=UTC)
    current = int(now.timestamp()) // 30
    shown = now + timedelta(seconds=late)
    step = int(shown.timestamp()) // 30

    found = codes.step_of(code_at(SECRET, shown), SECRET, after=current + used, now=now)

    assert found == (step if abs(step - current) <= 1 and step > current + used else None)


@pytest.mark.parametrize(
    "typed", ["", "12345", "\uff12\uff18\uff17\uff10\uff18\uff12", "abcdef", "\0" * 6, "287082 287082"]
)
def test_what_is_no_code_is_of_no_step(typed):
    assert codes.step_of(typed, SECRET, after=0, now=datetime.fromtimestamp(59, UTC)) is None


def test_recovery_codes_are_known_however_they_are_typed():
    made = codes.new_recovery_codes()

    assert len(set(made)) == codes.RECOVERY_CODES
    assert codes.digest_of(f" {made[0].lower().replace('-', ' ')} ") == codes.digest_of(made[0])
    assert len({codes.digest_of(code) for code in made}) == codes.RECOVERY_CODES


def test_the_picture_is_an_image_without_style():
    assert codes.qr_code(SECRET, "devops").startswith("data:image/svg+xml")
    assert "style" not in codes.qr_code(SECRET, "devops")


def test_what_is_sealed_opens_for_its_owner_and_purpose_alone(settings):
    sealed = sealing.seal(SECRET, purpose="app", owner="1")

    assert sealing.unseal(sealed, purpose="app", owner="1") == SECRET
    assert SECRET not in sealed
    for wrong in ({"purpose": "app", "owner": "2"}, {"purpose": "other", "owner": "1"}):
        with pytest.raises(sealing.SealBroken):
            sealing.unseal(sealed, **wrong)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", [settings.SECRET_KEY]
    assert sealing.unseal(sealed, purpose="app", owner="1") == SECRET
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(sealing.SealBroken):
        sealing.unseal(sealed, purpose="app", owner="1")
