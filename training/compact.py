"""An ONNX model as it ships: weights in half the bytes, and nothing of the machine that wrote it."""

from typing import Any, Final

import numpy as np
import onnx

_LEAST_HALVED: Final = 1024
"""Numbers: smaller tensors, shapes and constants among them, stay as they are."""


def compact(model: Any) -> None:
    """Store the weights of an ``onnx.ModelProto`` in fp16, behind casts that engines resolve at loading.

    The exporter notes with each node where in which file it was written; that goes.
    """
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    casts = []
    for weights in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < _LEAST_HALVED:
            continue
        stored = f"{weights.name}.fp16"
        casts.append(onnx.helper.make_node("Cast", [stored], [weights.name], to=onnx.TensorProto.FLOAT))
        weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
