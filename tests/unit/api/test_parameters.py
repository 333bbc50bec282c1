from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from app.api.parameters import AvatarParameters, RenderParameters
from app.errors import InvalidRequest
from app.faces.smoothing import DEFAULT_SMOOTHING, MAX_SMOOTHING
from app.faces.types import DEFAULT_PADS, LARGEST, MAX_PAD, FaceChoice, Pads


def test_defaults_are_those_of_the_rooms_below() -> None:
    given = AvatarParameters()
    assert FaceChoice(given.face) == LARGEST
    assert Pads(*given.pads) == DEFAULT_PADS
    assert given.smoothing == DEFAULT_SMOOTHING


@pytest.mark.parametrize("pad", [-0.5, -0.49, MAX_PAD, MAX_PAD + 0.01])
def test_pads_are_accepted_as_far_as_the_faces_accept_them(pad: float) -> None:
    try:
        Pads(pad)
    except InvalidRequest:
        with pytest.raises(ValidationError):
            AvatarParameters.model_validate({"pads": f"{pad},0,0,0"})
    else:
        assert AvatarParameters.model_validate({"pads": f"{pad},0,0,0"}).pads[0] == pad


@pytest.mark.parametrize("pads", ["", "0.1", "0,0,0", "0,0,0,0,0", [0, 0]])
def test_pads_that_are_not_four_are_told_so_once(pads: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        AvatarParameters.model_validate({"pads": pads})
    assert [each["msg"] for each in refused.value.errors()] == [
        "Value error, send four numbers, top, bottom, left, right, such as 0,0.05,0,0"
    ]


@pytest.mark.parametrize("wrong", ["http://a.example/b.png", "/etc/passwd", "file:///a", "red", "#12345"])
def test_a_background_is_a_colour_and_no_address_or_path(wrong: str) -> None:
    with pytest.raises(ValidationError, match="background"):
        AvatarParameters.model_validate({"background": wrong})


def test_the_longest_smoothing_is_that_of_the_faces() -> None:
    assert AvatarParameters.model_validate({"smoothing": str(MAX_SMOOTHING)}).smoothing == MAX_SMOOTHING
    with pytest.raises(ValidationError):
        AvatarParameters.model_validate({"smoothing": str(MAX_SMOOTHING * 1.01)})


@pytest.mark.parametrize("face", ["largest", "left", "right", "0", "9"])
def test_every_face_that_is_accepted_can_be_chosen(face: str) -> None:
    assert FaceChoice(AvatarParameters.model_validate({"face": face}).face).rule == face


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", Fraction(25)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("22.131", Fraction(22131, 1000)),
        ("59.98", Fraction(2999, 50)),
        ("1", Fraction(1)),
        ("120", Fraction(120)),
    ],
)
def test_a_frame_rate_is_exact(text: str, rate: Fraction) -> None:
    given = RenderParameters.model_validate({"fps": text})
    assert given.fps is not None
    assert Fraction(given.fps) == rate


def test_ids_are_of_the_documented_form() -> None:
    for good in ("a", "0", "a-b", "a" * 63):
        assert AvatarParameters.model_validate({"id": good}).id == good
    for bad in ("", "-a", "A", "a" * 64, "a_b", "a\n", "é"):
        with pytest.raises(ValidationError):
            AvatarParameters.model_validate({"id": bad})
