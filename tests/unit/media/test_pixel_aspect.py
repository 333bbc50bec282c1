from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.limits import MAX_SIDE
from app.media.pixel_aspect import needs_squaring, square_size

SIDES = st.integers(16, 4096)
ASPECTS = st.fractions(Fraction(1, 4), 4, max_denominator=100)


@pytest.mark.parametrize(
    ("stored", "aspect", "shown"),
    [
        ((720, 576), Fraction(64, 45), (1024, 576)),  # PAL, 16:9
        ((720, 576), Fraction(16, 11), (1046, 576)),
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((720, 480), Fraction(8, 9), (720, 540)),  # NTSC, 4:3: not narrower, which would lose columns
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),  # HDV
        ((352, 576), Fraction(32, 11), (1024, 576)),
        ((719, 575), Fraction(64, 45), (1022, 575)),
    ],
)
def test_pictures_grow_to_square_pixels(
    stored: tuple[int, int], aspect: Fraction, shown: tuple[int, int]
) -> None:
    assert square_size(*stored, aspect) == shown


def test_pictures_beyond_full_hd_keep_their_number_of_pixels() -> None:
    width, height = square_size(4096, 2160, Fraction(2))
    assert (width, height) == (5792, 1526)
    assert 0.998 * 4096 * 2160 < width * height <= 4096 * 2160


@given(SIDES, SIDES, ASPECTS)
def test_the_picture_has_its_shape_and_is_no_larger_than_need_be(
    width: int, height: int, aspect: Fraction
) -> None:
    across, down = square_size(width, height, aspect)
    assert max(across, down) <= MAX_SIDE
    assert across * down <= max(width * height, 1920 * 1088)
    shape = float(width * aspect / height)
    assert across / shape - 2.001 < down < (across + 2.001) / shape
    assert across % 2 == 0 or across == width
    assert down % 2 == 0 or down == height


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1088, 1080), (1080, 1088), (1, 72), (72, 1)])
def test_what_is_square_or_cannot_be_meant_is_left_as_it_is(width: int, height: int) -> None:
    assert not needs_squaring(Fraction(width, height))


@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(12, 11), Fraction(10, 11), Fraction(1, 2)])
def test_what_a_header_says_of_other_pixels_is_believed(aspect: Fraction) -> None:
    assert needs_squaring(aspect)
