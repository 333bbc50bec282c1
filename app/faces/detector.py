"""The interface of the face detectors."""

from typing import Literal, Protocol, assert_never

from app.faces.types import Detection
from app.media.frames import FrameLayout, I420Frame

DetectorName = Literal["blazeface", "s3fd"]


class FaceDetector(Protocol):
    """Finds all faces of one frame."""

    name: str
    """Stored with the avatar."""

    crops_like_training: bool
    """Whether its boxes already have the convention on which Wav2Lip was trained.

    Such a detector is asked on every frame, and its boxes are used as they are; another one is asked
    now and then, and the boxes are made from the landmarks.
    """

    def detect(self, frame: I420Frame, layout: FrameLayout, *, thorough: bool = False) -> list[Detection]:
        """Return the faces in ``frame``, best score first; ``thorough`` asks for small ones as well."""
        ...


def load_detector(name: DetectorName, device: str = "auto") -> FaceDetector:
    """Return the detector of this name, its weights loaded.

    ``device`` is where S3FD runs, see :class:`app.faces.s3fd.S3fd`; BlazeFace runs on the CPU. Raises
    :class:`app.errors.EngineUnavailable` where its package or its weights cannot be had.
    """
    if name == "blazeface":
        from app.faces.blazeface import BlazeFace

        return BlazeFace()
    if name == "s3fd":
        from app.faces.s3fd import S3fd

        return S3fd(device)
    assert_never(name)
