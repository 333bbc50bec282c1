import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from training.settings import TrainSettings  # noqa: E402
from training.shade import inner_shades  # noqa: E402

NUMBERS = TrainSettings().shade
SKIN, LIPS = 0.8, slice(8, 16)


def mouths(*inside: float, rows: slice = LIPS) -> tuple[Tensor, Tensor]:
    """Return pictures of skin with an inner mouth of each brightness, and where that is."""
    pictures = torch.full((len(inside), 3, 24, 36), SKIN)
    within = torch.zeros(len(inside), 1, 24, 36)
    within[:, :, rows, 6:30] = 1
    for picture, brightness in zip(pictures, inside, strict=True):
        picture[:, rows, 6:30] = brightness
    return pictures, within


def test_a_dark_mouth_has_a_lower_shade_than_a_gray_one() -> None:
    dark, average, gray = inner_shades(*mouths(0.1, 0.52 * SKIN, 0.7), NUMBERS).tolist()
    assert dark < -1 < average < 1 < gray
    assert average == pytest.approx(0, abs=1e-5)


def test_brighter_light_changes_nothing() -> None:
    pictures, within = mouths(0.2, 0.5)
    assert torch.allclose(
        inner_shades(0.5 * pictures, within, NUMBERS), inner_shades(pictures, within, NUMBERS), atol=1e-4
    )


def test_a_row_of_teeth_does_not_hide_the_cavity_below_it() -> None:
    pictures, within = mouths(0.1)
    toothy = pictures.clone()
    toothy[:, :, 8:12, 6:30] = 0.9
    assert torch.equal(inner_shades(toothy, within, NUMBERS), inner_shades(pictures, within, NUMBERS))


def test_of_a_mouth_that_is_nearly_shut_little_is_believed_and_of_a_shut_one_nothing() -> None:
    wide, narrow, shut = (
        inner_shades(*mouths(0.1, rows=rows), NUMBERS).item() for rows in (LIPS, slice(8, 9), slice(8, 8))
    )
    assert wide < 1.5 * narrow < 0
    assert shut == 0
