"""Runs paint models on a CPU with OpenVINO."""

from pathlib import Path

from app.mouths.painter import OUTPUTS, PaintShapes, Strokes, bind_painter
from app.wav2lip.arrays import FaceCrops, stacked
from app.wav2lip.engine import DType
from app.wav2lip.onnx_file import port_shapes, read_onnx
from app.wav2lip.openvino_streams import PART, Streams


class OpenVinoPainter:
    """A paint model under OpenVINO's CPU plug-in."""

    name = "openvino"
    device = "cpu"

    def __init__(self, path: Path, dtype: DType | None = None, *, threads: int | None = None) -> None:
        """Compile the model at ``path``; raises InvalidModel.

        ``threads`` is the number of cores to use, by default all that this process may run on.
        """
        model = read_onnx(path)
        self._binding = bind_painter(*port_shapes(model), path)
        shapes = self._binding.shapes(self._binding.frames or PART)
        self._streams = Streams(model, path, shapes, dtype, threads)
        self.dtype: DType = self._streams.dtype
        self.batch_size: int = self._streams.batch_size

    def paint(self, shapes: PaintShapes, crops: FaceCrops, references: FaceCrops) -> Strokes:
        """Return the strokes that give ``references`` the wanted shapes."""
        inputs = {self._binding.shape: shapes, self._binding.face: stacked(crops, references)}
        outputs = [OUTPUTS[self._binding.outputs.index(index)] for index in range(len(OUTPUTS))]
        return self._binding.strokes(self._streams.run(inputs, outputs))
