"""The arrays that pass through a Wav2Lip model. Faces are BGR, as OpenCV reads them; S is the face size."""

import numpy as np
import numpy.typing as npt

MelWindows = npt.NDArray[np.float32]
"""float32 (n, 80, 16), -4..4: one window of 16 mel columns (0.2 s) a frame."""

MelBatch = npt.NDArray[np.float32]
"""float32 (n, 1, 80, 16), -4..4: mel windows with the channel axis that the network takes."""

FloatArray = npt.NDArray[np.float32]
"""float32 of any shape whose first axis is frames: what a model takes or makes."""

FaceCrops = npt.NDArray[np.uint8]
"""uint8 (n, S, S, 3), 0..255: faces, rows from the top."""

FaceBatch = npt.NDArray[np.float32]
"""float32 (n, 6, S, S), 0..1: channels 0-2 the face whose rows S//2.. are 0, channels 3-5 the reference."""

FaceOutput = npt.NDArray[np.float32]
"""float32 (n, 3, S, S), 0..1: the faces that speak, from the engine's first row on."""


def stacked(crops: FaceCrops, references: FaceCrops) -> FaceBatch:
    """Return crops without their lower halves, and references, as the faces that a model takes."""
    size = crops.shape[1]
    faces = np.zeros((len(crops), 6, size, size), np.float32)
    scale = np.float32(1 / 255)
    np.multiply(crops[:, : size // 2].transpose(0, 3, 1, 2), scale, out=faces[:, :3, : size // 2])
    np.multiply(references.transpose(0, 3, 1, 2), scale, out=faces[:, 3:])
    return faces
