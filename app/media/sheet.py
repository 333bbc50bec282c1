"""Contact sheets: captioned pictures side by side."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from app.media.files import replacing
from app.media.frames import BgrImage

_LINE: Final = 22
"""Height of the line of text below it, pixels."""
_GAP: Final = 4
_TALLEST: Final = 3
"""Height of a picture, in widths of its tile, at most: what is higher still stands narrower in it."""
_QUALITY: Final = 88


def write_sheet(
    path: Path, pictures: Iterable[BgrImage], texts: Sequence[str], columns: int, tile: int = 320
) -> None:
    """Write pictures of one size, at least one, as a JPEG; the file appears whole.

    Each gets a tile ``tile`` pixels wide, and is scaled as it comes.
    """
    tiles = [_tile(picture, text, tile) for picture, text in zip(pictures, texts, strict=True)]
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 255, np.uint8)
    for place, framed in enumerate(tiles):
        top, left = (
            _GAP + step * (size + _GAP)
            for step, size in zip(divmod(place, columns), (height, width), strict=True)
        )
        sheet[top : top + height, left : left + width] = framed
    _, encoded = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _tile(picture: BgrImage, text: str, width: int) -> BgrImage:
    scale = min(width / picture.shape[1], _TALLEST * width / picture.shape[0])
    height, across = (max(1, round(side * scale)) for side in picture.shape[:2])
    smaller = height < picture.shape[0]
    framed: BgrImage = np.full((height + _LINE, width, 3), 255, np.uint8)
    left = (width - across) // 2
    framed[:height, left : left + across] = cv2.resize(
        picture, (across, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    )
    where = 3, height + 15
    cv2.putText(framed, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return framed
