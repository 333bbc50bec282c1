"""Runs models with Wav2Lip's interface on a CPU with OpenVINO."""

from pathlib import Path

from app.wav2lip.arrays import FaceBatch, FaceOutput, MelBatch
from app.wav2lip.engine import DEFAULT_FACE_SIZE, DType, bind
from app.wav2lip.onnx_file import port_shapes, read_onnx
from app.wav2lip.openvino_streams import PART, Streams


class OpenVinoEngine:
    """An ONNX model under OpenVINO's CPU plug-in."""

    name = "openvino"
    device = "cpu"

    def __init__(
        self,
        path: Path,
        dtype: DType | None = None,
        *,
        face_size: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Compile the model at ``path``; raises InvalidModel.

        ``face_size`` is taken if the model accepts any. ``threads`` is the number of cores to use, by default
        all that this process may run on.
        """
        model = read_onnx(path)
        self._binding = bind(*port_shapes(model), path)
        self.face_size = self._binding.face_size or face_size or DEFAULT_FACE_SIZE
        self.first_row = self._binding.first_row(self.face_size)
        shapes = self._binding.shapes(self._binding.frames or PART, self.face_size)
        self._streams = Streams(model, path, shapes, dtype, threads)
        self.dtype: DType = self._streams.dtype
        self.batch_size: int = self._streams.batch_size

    def infer(self, mel: MelBatch, face: FaceBatch) -> FaceOutput:
        """Return the faces that say ``mel``."""
        inputs = {self._binding.mel: mel, self._binding.face: face}
        rows = self.face_size - self.first_row
        return self._streams.run(inputs, [(3, rows, self.face_size)])[0]
