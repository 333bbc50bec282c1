"""Frames with the face box and the mouth mask drawn in: the preview of an avatar, and sheets of several."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from app.faces.boxes import crop_affine
from app.faces.geometry import composed, mapped
from app.faces.leaning import Levelled, levelled
from app.faces.mask import mouth_mask
from app.faces.types import FaceTrack, MouthMask, has_face
from app.media.frames import BgrImage
from app.media.probe import VideoInfo
from app.media.sheet import write_sheet
from app.mouths.looking import Frames

_BOX_COLOR: Final = (80, 220, 80)
_MASK_COLOR: Final = np.array([60, 140, 255], np.float32)
_MASK_STRENGTH: Final = 0.45
_MASK_SIZE: Final = 192
_SHEET_FRAMES, _SHEET_COLUMNS = 12, 4


def write_preview(path: Path, picture: BgrImage) -> None:
    """Write a picture as a JPEG."""
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    path.write_bytes(encoded.tobytes())


def write_faces(path: Path, frames: Frames, info: VideoInfo, track: FaceTrack, *, leaning: bool) -> None:
    """Write a contact sheet of frames of a video, evenly spread, with the face box and the mask drawn in.

    ``leaning`` as for :func:`picture_of`.
    """
    count = len(track.boxes)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _SHEET_FRAMES)).round().astype(int)).tolist()
    shown = has_face(track.boxes)
    texts = [f"{float(index / info.fps):.2f} s{'' if shown[index] else ', no face'}" for index in chosen]
    pictures = (picture_of(frames, info, track, index, leaning=leaning) for index in chosen)
    write_sheet(path, pictures, texts, _SHEET_COLUMNS)


def picture_of(frames: Frames, info: VideoInfo, track: FaceTrack, index: int, *, leaning: bool) -> BgrImage:
    """Return a frame of a video with the face box and the mouth mask drawn in, if there is a face.

    ``leaning`` tells whether both lean with a head that leans far, as those of lent mouths do.
    """
    frame = np.empty(info.layout.frame_bytes, np.uint8)
    frames.read_into(index, frame)
    picture, box, landmarks = info.layout.to_bgr(frame), track.boxes[index], track.landmarks[index]
    if has_face(track.boxes[index : index + 1])[0]:
        level = levelled(landmarks, box) if leaning else Levelled(box, None)
        _draw_face(picture, level, mouth_mask(level.points(landmarks), level.box, _MASK_SIZE))
    return picture


def _draw_face(picture: BgrImage, level: Levelled, mask: MouthMask) -> None:
    height, width = picture.shape[:2]
    to_frame = crop_affine(level.box, _MASK_SIZE)
    top, bottom, left, right = (float(edge) for edge in level.box)
    corners = np.array([[left, top], [right - 1, top], [right - 1, bottom - 1], [left, bottom - 1]])
    if level.to_frame is not None:
        to_frame, corners = composed(level.to_frame, to_frame), mapped(corners, level.to_frame)
    x, y, across, down = cv2.boundingRect(np.rint(corners).astype(np.int32))
    x, right, y, bottom = max(x - 1, 0), min(x + across + 1, width), max(y - 1, 0), min(y + down + 1, height)
    if x < right and y < bottom:
        part, shifted = picture[y:bottom, x:right], to_frame - [[0, 0, x], [0, 0, y]]
        weight = cv2.warpAffine(mask, shifted, (right - x, bottom - y)).astype(np.float32)[:, :, None]
        part[:] = (part + (_MASK_COLOR - part) * weight * (_MASK_STRENGTH / 255)).round().astype(np.uint8)
    thickness = max(1, round(height / 200))
    cv2.polylines(picture, [np.rint(corners).astype(np.int32)], True, _BOX_COLOR, thickness, cv2.LINE_AA)
