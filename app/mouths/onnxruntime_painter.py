"""Runs paint models with ONNX Runtime."""

from pathlib import Path

from app.mouths.painter import PaintBinding, PaintShapes, Strokes, bind_painter
from app.wav2lip.arrays import FaceCrops, stacked
from app.wav2lip.engine import DType
from app.wav2lip.onnxruntime_session import Session


class OnnxRuntimePainter(Session[PaintBinding]):
    """A paint model in an ONNX Runtime session, on an NVIDIA GPU by default."""

    def __init__(
        self,
        path: Path,
        dtype: DType | None = None,
        *,
        device: str = "cuda",
        threads: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Load the model at ``path`` as :class:`Session` does."""
        super().__init__(path, bind_painter, dtype, device=device, threads=threads, cache_dir=cache_dir)

    def paint(self, shapes: PaintShapes, crops: FaceCrops, references: FaceCrops) -> Strokes:
        """Return the strokes that give ``references`` the wanted shapes."""
        inputs = {self.binding.shape: shapes, self.binding.face: stacked(crops, references)}
        return self.binding.strokes(self.run(inputs))
