"""Frames with the face box and the mouth mask drawn in: the preview of an avatar, and sheets of several."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from app.faces.mask import mouth_mask
from app.faces.types import Box, FaceTrack, MouthMask, has_face
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


def write_faces(path: Path, frames: Frames, info: VideoInfo, track: FaceTrack) -> None:
    """Write a contact sheet of frames of a video, evenly spread, with the face box and the mask drawn in."""
    count = len(track.boxes)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _SHEET_FRAMES)).round().astype(int)).tolist()
    shown = has_face(track.boxes)
    texts = [f"{float(index / info.fps):.2f} s{'' if shown[index] else ', no face'}" for index in chosen]
    pictures = [picture_of(frames, info, track, index) for index in chosen]
    write_sheet(path, pictures, texts, _SHEET_COLUMNS)


def picture_of(frames: Frames, info: VideoInfo, track: FaceTrack, index: int) -> BgrImage:
    """Return a frame of a video with the face box and the mouth mask drawn in, if there is a face."""
    frame = np.empty(info.layout.frame_bytes, np.uint8)
    frames.read_into(index, frame)
    picture, box = info.layout.to_bgr(frame), track.boxes[index]
    if has_face(track.boxes[index : index + 1])[0]:
        _draw_face(picture, box, mouth_mask(track.landmarks[index], box, _MASK_SIZE))
    return picture


def _draw_face(picture: BgrImage, box: Box, mask: MouthMask) -> None:
    top, bottom, left, right = box.tolist()
    height, width = picture.shape[:2]
    stretched = cv2.resize(mask, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    y1, y2, x1, x2 = max(top, 0), min(bottom, height), max(left, 0), min(right, width)
    if y1 >= y2 or x1 >= x2:  # half of a face beyond the border, and pads away from the other half
        return
    weight = stretched[y1 - top : y2 - top, x1 - left : x2 - left, None] * (_MASK_STRENGTH / 255)
    region = picture[y1:y2, x1:x2]
    region[:] = (region + (_MASK_COLOR - region) * weight).round().astype(np.uint8)
    thickness = max(1, round(height / 200))
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), _BOX_COLOR, thickness, cv2.LINE_AA)
