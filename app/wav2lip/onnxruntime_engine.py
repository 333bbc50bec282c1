"""Runs models with Wav2Lip's interface with ONNX Runtime."""

from pathlib import Path

from app.wav2lip.arrays import FaceBatch, FaceOutput, MelBatch
from app.wav2lip.engine import DEFAULT_FACE_SIZE, DType
from app.wav2lip.onnxruntime_session import Session


class OnnxRuntimeEngine(Session):
    """An ONNX model in an ONNX Runtime session, on an NVIDIA GPU by default."""

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
        """Load the model at ``path`` as :class:`Session` does; ``face_size`` is taken if it accepts any."""
        super().__init__(path, dtype, device=device, threads=threads, cache_dir=cache_dir)
        self.face_size = self.binding.face_size or face_size or DEFAULT_FACE_SIZE
        self.first_row = self.binding.first_row(self.face_size)

    def infer(self, mel: MelBatch, face: FaceBatch) -> FaceOutput:
        """Return the faces that say ``mel``."""
        return self.run({self.binding.mel: mel, self.binding.face: face})[0]
