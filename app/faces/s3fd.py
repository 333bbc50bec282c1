"""S3FD, the detector of the original Wav2Lip pipeline, from the optional ``face-alignment`` package."""

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.errors import EngineUnavailable
from app.extras import install_command
from app.faces.types import Detection
from app.media.frames import FrameLayout, I420Frame

WEIGHTS: Final = "s3fd-619a316812.pth"
WEIGHTS_URL: Final = f"https://www.adrianbulat.com/downloads/python-fan/{WEIGHTS}"
"""Where the package's author publishes the weights. Nothing is fetched while the service runs."""


class S3fd:
    """S3FD, about a thousand times slower than BlazeFace on a CPU."""

    name: str = "s3fd"
    crops_like_training: bool = True

    def __init__(self, device: str = "auto") -> None:
        """Load the network; ``device`` is ``cpu``, ``cuda``, ``cuda:N`` or ``auto``: CUDA where it works.

        Raises :class:`EngineUnavailable` without the package, or without weights that can be read.
        """
        try:
            torch = import_module("torch")
            package = import_module("face_alignment.detection.sfd")
        except ImportError as error:
            raise EngineUnavailable(
                "The S3FD detector needs the face-alignment package, which is not installed: run "
                f"`{install_command('mouthpiece[face-alignment]')}`, or choose the blazeface detector."
            ) from error
        weights = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
        if not weights.is_file():
            raise EngineUnavailable(
                f"The weights of the S3FD detector are missing: download {WEIGHTS_URL} to {weights}, "
                "or choose the blazeface detector."
            )
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._detector: Any = package.FaceDetector(device=device, path_to_detector=str(weights))
        except Exception as error:
            raise EngineUnavailable(
                f"The weights of the S3FD detector at {weights} cannot be loaded on {device} ({error}); "
                f"download them again from {WEIGHTS_URL}, or choose the blazeface detector."
            ) from error

    def detect(self, frame: I420Frame, layout: FrameLayout, *, thorough: bool = False) -> list[Detection]:
        """Return the faces in ``frame``, best score first; S3FD always sees the whole frame at full size."""
        picture = np.ascontiguousarray(layout.to_bgr(frame)[..., ::-1])
        found = [
            Detection(np.array([y1, y2, x1, x2], np.float64), float(score))
            for x1, y1, x2, y2, score in self._detector.detect_from_image(picture)
        ]
        return sorted(found, key=lambda detection: -detection.score)
