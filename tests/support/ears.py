"""Tiny ears: ONNX models with the ear's interface, and sounds for them."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from app.media.sound import SPEECH_RATE, Sound, SpeechSamples
from app.mouths.ear import METADATA, OUTPUTS

PAST, PIECE, AHEAD = 5, 10, 3


def write_ear(path: Path, *, described: bool = True, outputs: int = OUTPUTS) -> Path:
    """Write an ear that answers the mean of a row's mel, and in its second number that of the window."""
    columns = 2 * (PAST + PIECE + AHEAD)
    mel = helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, [1, 80, columns])
    heard = helper.make_tensor_value_info("heard", TensorProto.FLOAT, [1, PIECE, outputs])
    constants = {
        "from": [2 * PAST],
        "to": [2 * (PAST + PIECE)],
        "axis": [2],
        "bands": [1],
        "rows": [1, PIECE, 2],
        "pair": [2],
        "all": [1, 2],
    }
    nodes = [
        helper.make_node("Slice", ["log_mel", "from", "to", "axis"], ["piece"]),
        helper.make_node("ReduceMean", ["piece", "bands"], ["columns"], keepdims=0),
        helper.make_node("Reshape", ["columns", "rows"], ["pairs"]),
        helper.make_node("ReduceMean", ["pairs", "pair"], ["row"], keepdims=1),
        helper.make_node("ReduceMean", ["log_mel", "all"], ["whole"], keepdims=1),
        helper.make_node("Mul", ["row", "of_row"], ["answer"]),
        helper.make_node("Mul", ["whole", "of_window"], ["context"]),
        helper.make_node("Add", ["answer", "context"], ["heard"]),
    ]
    of_row, of_window = np.ones((1, 1, outputs), np.float32), np.zeros((1, 1, outputs), np.float32)
    of_window[0, 0, 1] = 1
    initializers = [
        helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        for name, values in constants.items()
    ]
    initializers += [
        onnx.numpy_helper.from_array(of_row, "of_row"),
        onnx.numpy_helper.from_array(of_window, "of_window"),
    ]
    graph = helper.make_graph(nodes, "ear", [mel], [heard], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if described:
        about = {"past": PAST, "ahead": AHEAD, "average_range": 0.25}
        model.metadata_props.add(key=METADATA, value=json.dumps(about))
    onnx.save(model, str(path))
    return path


def sound_of(path: Path, samples: SpeechSamples) -> Sound:
    """Write samples at 16 kHz to ``path`` and describe them."""
    samples.astype("<f4").tofile(path)
    count = len(samples)
    return Sound("", str(path), SPEECH_RATE, 1, "mono", count, count, count / SPEECH_RATE)
