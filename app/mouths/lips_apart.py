"""How far lips part, as a network sees it in the picture: Face Mesh takes lips for shut that show teeth."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov

from app.faces.networks import MODELS, SinglePicture, compiled
from app.faces.types import FaceLandmarks
from app.media.frames import BgrImage
from app.mouths.points import LOWER_LIP_INNER, UPPER_LIP_INNER

Apart = npt.NDArray[np.float32]
"""float32 (n,): how far lips part, in percent of the eyes' distance, about 0 to 30. Shut lips of one person
have 0.5, of another, who has a dark beard, 4.6: compare it with what the same person's lips have."""

MOUTH_SIZE: Final = (56, 40)
"""Width and height of what the network sees, pixels of an aligned crop (see :mod:`app.faces.hidden`)."""

THREADS: Final = 2
"""Networks that run at once, each on one thread."""

_INNER: Final = [*UPPER_LIP_INNER, *LOWER_LIP_INNER]
_MODEL: Final = MODELS / "lips_apart.onnx"


def mouth_crop(crop: BgrImage, points: FaceLandmarks) -> BgrImage:
    """Cut the mouth (40, 56, 3) out of an aligned crop (96, 96, 3), whose landmarks are ``points``."""
    x, y = points[_INNER].mean(axis=0).tolist()
    width, height = MOUTH_SIZE
    move = np.array([[1, 0, width / 2 - x], [0, 1, height / 2 - y]], np.float64)
    return np.asarray(cv2.warpAffine(crop, move, MOUTH_SIZE, borderMode=cv2.BORDER_REPLICATE), np.uint8)


class LipsApart:
    """Sees how far lips part, on one thread of the CPU: a mouth in a fifth of a millisecond."""

    def __init__(self, path: Path = _MODEL) -> None:
        self._request = compiled(path, SinglePicture(*MOUTH_SIZE), THREADS).create_infer_request()
        width, height = MOUTH_SIZE
        self._mouth = np.empty((1, height, width, 3), np.uint8)
        self._request.set_input_tensor(0, ov.Tensor(self._mouth, shared_memory=True))

    def __call__(self, mouth: BgrImage) -> float:
        """Return how far the lips of a mouth (40, 56, 3) part, as :data:`Apart`."""
        self._mouth[0] = mouth
        self._request.infer(share_outputs=True)
        return float(self._request.get_output_tensor().data.reshape(-1)[0])
