"""The mesh of the test portrait, found once, and aligned crops."""

from functools import cache

from app.faces.detector import load_detector
from app.faces.hidden import alignment, in_crop
from app.faces.tracking import track_face
from app.faces.types import Box, FaceLandmarks
from app.media.frames import BgrImage, FrameLayout
from app.mouths.upright import aligned, upright_affine, upright_picture
from tests.support.clips import portrait
from tests.support.frames import i420


@cache
def portrait_face() -> tuple[FaceLandmarks, Box]:
    """Return the landmarks and the crop box of the portrait, which is 512x512."""
    layout = FrameLayout(512, 512)
    track = track_face([i420(portrait(), layout)], layout, fps=25, detector=load_detector("blazeface"))
    return track.landmarks[0], track.boxes[0]


def aligned_face(
    image: BgrImage, layout: FrameLayout, landmarks: FaceLandmarks
) -> tuple[BgrImage, FaceLandmarks]:
    """Return the aligned crop of a face, as the service cuts it, and its landmarks in the crop."""
    crop = aligned(upright_picture(layout, i420(image, layout), upright_affine(landmarks)))
    return crop, in_crop(alignment(landmarks), landmarks)
