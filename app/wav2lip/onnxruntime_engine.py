"""Runs models with Wav2Lip's interface with ONNX Runtime."""

from pathlib import Path

from app.wav2lip.arrays import FaceBatch, FaceOutput, MelBatch
from app.wav2lip.engine import DEFAULT_FACE_SIZE, DType
from app.wav2lip.onnx_file import bind_onnx, graph_dtype, read_onnx
from app.wav2lip.onnxruntime_session import Session


class OnnxRuntimeEngine:
    """An ONNX model in an ONNX Runtime session, on an NVIDIA GPU by default."""

    name = "onnxruntime"

    def __init__(
        self,
        path: Path,
        dtype: DType | None = None,
        *,
        device: str = "cuda",
        face_size: int | None = None,
        threads: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Load the model at ``path`` as :class:`Session` does; raises InvalidModel and EngineUnavailable."""
        model = read_onnx(path)
        self._binding = bind_onnx(model, path)
        self.face_size = self._binding.face_size or face_size or DEFAULT_FACE_SIZE
        self.first_row = self._binding.first_row(self.face_size)
        self._session = Session(
            path,
            graph_dtype(model),
            dtype,
            device=device,
            frames=self._binding.frames,
            threads=threads,
            cache_dir=cache_dir,
        )
        self.device: str = self._session.device
        self.dtype: DType = self._session.dtype
        self.batch_size: int = self._session.batch_size

    def infer(self, mel: MelBatch, face: FaceBatch) -> FaceOutput:
        """Return the faces that say ``mel``."""
        return self._session.run({self._binding.mel: mel, self._binding.face: face})[0]
