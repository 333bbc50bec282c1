"""Runs paint models with ONNX Runtime."""

from pathlib import Path

from app.mouths.painter import PaintShapes, Strokes, bind_painter
from app.wav2lip.arrays import FaceCrops, stacked
from app.wav2lip.engine import DType
from app.wav2lip.onnx_file import graph_dtype, port_shapes, read_onnx
from app.wav2lip.onnxruntime_session import Session


class OnnxRuntimePainter:
    """A paint model in an ONNX Runtime session, on an NVIDIA GPU by default."""

    name = "onnxruntime"

    def __init__(
        self,
        path: Path,
        dtype: DType | None = None,
        *,
        device: str = "cuda",
        threads: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Load the model at ``path`` as :class:`Session` does; raises InvalidModel and EngineUnavailable."""
        model = read_onnx(path)
        self._binding = bind_painter(*port_shapes(model), path)
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

    def paint(self, shapes: PaintShapes, crops: FaceCrops, references: FaceCrops) -> Strokes:
        """Return the strokes that give ``references`` the wanted shapes."""
        inputs = {self._binding.shape: shapes, self._binding.face: stacked(crops, references)}
        return self._binding.strokes(self._session.run(inputs))
