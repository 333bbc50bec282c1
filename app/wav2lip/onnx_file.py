"""Reads ONNX files and describes them, for every engine that runs them."""

from pathlib import Path

from openvino import Model, Output, Type
from openvino.frontend import FrontEndManager

from app.errors import InvalidModel
from app.wav2lip.engine import DType, Shape


def read_onnx(path: Path) -> Model:
    """Read an ONNX file; raises InvalidModel."""
    frontend = FrontEndManager().load_by_framework("onnx")
    try:
        return frontend.convert(frontend.load(str(path)))
    except Exception as error:  # the classes that OpenVINO raises have no other base
        raise InvalidModel(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read as an ONNX model: it is truncated, "
            f"or of another kind. OpenVINO says: {str(error).strip().splitlines()[-1]}"
        ) from error


def port_shapes(model: Model) -> tuple[list[Shape], list[Shape]]:
    """Return the shapes of a model's inputs and outputs."""
    return [_shape(port) for port in model.inputs], [_shape(port) for port in model.outputs]


def _shape(port: Output) -> Shape:
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        return ()
    return [None if axis.is_dynamic else axis.get_length() for axis in shape]


def graph_dtype(model: Model) -> DType:
    """Return the precision in which the graph asks for its convolutions to be computed."""
    convolutions = [op for op in model.get_ordered_ops() if "Convolution" in op.get_type_name()]
    types = {op.get_output_element_type(0) for op in convolutions}
    if Type.f16 in types:
        return "fp16"
    return "bf16" if Type.bf16 in types else "fp32"
