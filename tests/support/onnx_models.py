"""Tiny ONNX models with Wav2Lip's interface, for what has nothing to do with the real network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper


@dataclass(frozen=True)
class TinyModel:
    """A model that adds the mean of the mel to the reference face; None leaves an axis open."""

    frames: int | None = None
    face_size: int | None = 32
    face_first: bool = False
    adds_face: bool = False
    """The face whose lower half is hidden is added as well."""
    half_ends: bool = False
    """Inputs and output are float16."""
    only_one_frame: bool = False
    """The shapes leave the batch open, but inside the model it is fixed to one frame."""

    def write(self, path: Path) -> Path:
        """Write the model; return its path."""
        kind = TensorProto.FLOAT16 if self.half_ends else TensorProto.FLOAT
        size: list[Any] = [self.face_size, self.face_size]
        mel = helper.make_tensor_value_info("sound", kind, [self.frames, 1, 80, 16])
        face = helper.make_tensor_value_info("picture", kind, [self.frames, 6, *size])
        output = helper.make_tensor_value_info("result", kind, [self.frames, 3, *size])
        constants = {"axes": [1, 2, 3], "from": [3], "to": [6], "channels": [1]}
        nodes = [
            helper.make_node("ReduceMean", ["sound", "axes"], ["loudness"], keepdims=1),
            helper.make_node("Slice", ["picture", "from", "to", "channels"], ["reference"]),
            helper.make_node("Add", ["reference", "loudness"], ["result"]),
        ]
        if self.adds_face:
            constants["start"] = [0]
            nodes[-1].output[0] = "heard"
            nodes.append(helper.make_node("Slice", ["picture", "start", "from", "channels"], ["masked"]))
            nodes.append(helper.make_node("Add", ["heard", "masked"], ["result"]))
        if self.only_one_frame:
            constants["one"] = [1, 3, 32, 32]
            nodes[-1].output[0] = "faces"
            nodes.append(helper.make_node("Reshape", ["faces", "one"], ["result"]))
        inputs = [face, mel] if self.face_first else [mel, face]
        initializers = [
            helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
            for name, values in constants.items()
        ]
        graph = helper.make_graph(nodes, "tiny", inputs, [output], initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, str(path))
        return path

    def expected(
        self, mel: npt.NDArray[np.float32], face: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return what the model must compute."""
        faces: npt.NDArray[np.float32] = face[:, 3:] + mel.mean(axis=(1, 2, 3), keepdims=True)
        return faces


def write_classifier(path: Path) -> Path:
    """Write a model with another interface: a picture in, the means of its channels out."""
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [None, 3, 224, 224])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 3, 1, 1])
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["picture"], ["scores"])], "classifier", [picture], [scores]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path
