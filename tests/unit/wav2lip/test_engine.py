from collections.abc import Sequence
from pathlib import Path

import pytest

from app.errors import InvalidModel
from app.wav2lip.engine import Binding, Shape, bind

PATH = Path("other.onnx")
MEL: Shape = (None, 1, 80, 16)
FACE: Shape = (None, 6, 96, 96)
OUTPUT: Shape = (None, 3, 96, 96)


@pytest.mark.parametrize(
    ("inputs", "binding"),
    [
        ([MEL, FACE], Binding(0, 1, 96)),
        ([FACE, MEL], Binding(1, 0, 96)),
        ([(1, 1, 80, 16), (None, 6, 288, 288)], Binding(0, 1, 288, 1)),
        ([MEL, (None, 6, None, None)], Binding(0, 1, None)),
        ([MEL, (None, 6, 128, None)], Binding(0, 1, 128)),
    ],
)
def test_inputs_are_told_apart_by_shape(inputs: Sequence[Shape], binding: Binding) -> None:
    assert bind(inputs, [(None, 3, None, None)], PATH) == binding


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ([FACE], OUTPUT),
        ([MEL, MEL], OUTPUT),
        ([FACE, FACE], OUTPUT),
        ([MEL, FACE, FACE], OUTPUT),
        ([MEL, (None, 3, 96, 96)], OUTPUT),
        ([(None, 80, 16), FACE], OUTPUT),
        ([MEL, FACE], (None, 1000)),
        ([(), FACE], OUTPUT),
        ([(1, 1, 80, 16), (4, 6, 96, 96)], OUTPUT),
        ([MEL, (None, 6, 96, 128)], OUTPUT),
    ],
)
def test_a_model_with_another_interface_is_refused(inputs: Sequence[Shape], output: Shape) -> None:
    with pytest.raises(InvalidModel):
        bind(inputs, [output], PATH)


def test_the_refusal_says_what_was_found() -> None:
    with pytest.raises(
        InvalidModel, match=r"other.onnx .* found inputs \(\?, 3, 224, 224\) and outputs none"
    ):
        bind([(None, 3, 224, 224)], [], PATH)
