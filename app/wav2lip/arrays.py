"""The arrays that go through a Wav2Lip model. Faces are BGR, as OpenCV reads them; S is the face size."""

import numpy as np
import numpy.typing as npt

MelWindows = npt.NDArray[np.float32]
"""float32 (n, 80, 16), -4..4: one window of 16 mel columns (0.2 s) a frame."""

MelBatch = npt.NDArray[np.float32]
"""float32 (n, 1, 80, 16), -4..4: mel windows with the channel axis that the network takes."""

FaceCrops = npt.NDArray[np.uint8]
"""uint8 (n, S, S, 3), 0..255: faces, rows from the top."""

FaceBatch = npt.NDArray[np.float32]
"""float32 (n, 6, S, S), 0..1: channels 0-2 the face whose rows S//2.. are 0, channels 3-5 the reference."""

FaceOutput = npt.NDArray[np.float32]
"""float32 (n, 3, S, S), 0..1: the faces that speak, from the engine's first row on."""
