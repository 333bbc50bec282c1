"""From a decoder's picture to an I420 frame: colour tags, pixel format, cropping, orientation.

Almost every video is 8-bit 4:2:0 with square pixels, and then its planes are copied as they are, once.
Whatever else there is goes through swscale first, without a change of matrix or range; RGB has neither and
becomes BT.709, limited.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from cv2.typing import MatLike

from app.media.color import ColorMatrix
from app.media.findings import Findings
from app.media.frames import (
    Color,
    DeepFrame,
    DeepPlane,
    FrameLayout,
    FramePieces,
    I420Frame,
    Plane,
    YuvaFrame,
)
from app.media.pixel_aspect import square_size
from app.media.tone_mapping import is_hdr
from app.media.transparency import ALPHA_FORMAT, Behind, has_alpha, lay_onto, solid
from app.media.treatment import BLUR, PLAIN, Treatment

_COPIED_FORMATS: Final = frozenset({"yuv420p", "yuvj420p", "yuva420p", "gray"})
"""Pixel formats whose planes are those of an I420 frame; gray has the first of them."""
_I420_FORMATS: Final = frozenset({"yuv420p", "yuvj420p"})
DEEP_FORMAT: Final = "yuv420p10le"
_NO_CHROMA: Final = 128
_OPAQUE: Final = 255
_BT709: Final = Color("bt709", "limited", 1, 1, 1)

_MATRICES: Final[dict[int, ColorMatrix]] = {
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "bt709",
    9: "bt2020",
    10: "bt2020",
}
"""Matrix coefficients of ITU-T H.273 to the three that are told apart (FCC and SMPTE 240M are near ones)."""

_RGB_MATRIX: Final = 0
"""It is also said of gray PNGs, and by ProRes that does not say its matrix: that is then not specified."""
_UNSPECIFIED: Final = 2
_SD_MAX_HEIGHT: Final = 576
"""Untagged video up to this height is taken as BT.601, above as BT.709, as players do."""

_SWSCALE_MATRICES: Final = {
    "bt601": Colorspace.SMPTE170M,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}
_TURNS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is turned to be shown: mirrored left to right first, then turned clockwise."""

    rotation: int = 0
    """0, 90, 180 or 270 degrees clockwise."""
    mirrored: bool = False

    def turned(self, degrees: int) -> "Orientation":
        """Return the orientation of the picture turned by so many ``degrees`` more."""
        return Orientation((self.rotation + degrees) % 360, self.mirrored)

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.rotation in (90, 270)


UPRIGHT: Final = Orientation()


def orientation_of(picture: av.VideoFrame) -> Orientation:
    """Read the display matrix of ``picture`` (ISO/IEC 14496-12, 8.2.2.1), turned to the nearest quarter."""
    try:
        side_data: Any = picture.side_data
        a, b, _, c, d = np.frombuffer(side_data[SideDataType.DISPLAYMATRIX], "=i4").astype(float)[:5]
    except KeyError:
        return Orientation()
    except ValueError:  # there is side data of a kind that PyAV cannot name
        return Orientation(-picture.rotation % 360)
    mirrored = bool(a * d - b * c < 0)
    sign = -1 if mirrored else 1
    quarters = round(float(np.arctan2(sign * b, sign * a)) / (np.pi / 2))
    return Orientation(quarters * 90 % 360, mirrored)


def color_of(picture: av.VideoFrame) -> Color:
    """Return the colour of the I420 frame that :class:`PictureReader` makes of ``picture``."""
    if _is_rgb(picture):
        return Color("bt709", "limited", picture.color_primaries, picture.color_trc, 1)
    guess: ColorMatrix = "bt601" if picture.height <= _SD_MAX_HEIGHT else "bt709"
    # Gray that is not tagged is full, as in JPEG and TIFF, and as swscale takes it.
    full = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
    full |= picture.color_range != ColorRange.MPEG and not _has_chroma(picture)
    matrix = picture.colorspace if picture.colorspace != _RGB_MATRIX else _UNSPECIFIED
    return Color(
        _MATRICES.get(matrix, guess),
        "full" if full else "limited",
        picture.color_primaries,
        picture.color_trc,
        matrix,
    )


@dataclass(frozen=True)
class PictureForm:
    """What the pictures of one stream are made into: taken from its first picture, kept for all of them."""

    width: int
    height: int
    """Size to which pictures are scaled that have another one, before they are turned and cropped to even."""
    orientation: Orientation
    layout: FrameLayout

    @classmethod
    def of(
        cls,
        first: av.VideoFrame,
        treatment: Treatment = PLAIN,
        stored: Orientation | None = None,
        aspect: Fraction = Fraction(1),
    ) -> "PictureForm":
        """Return the form of a stream that begins with ``first``: turned upright, cropped to even sizes.

        ``stored`` is the orientation where the file tells it, and not the picture; ``aspect`` is that of its
        pixels as they are stored, width over height.
        """
        orientation = (stored or orientation_of(first)).turned(treatment.rotate)
        size = first.width, first.height
        if treatment.square:
            size = square_size(*size, aspect)
        width, height = (max(2, side & ~1) for side in size)
        if orientation.swaps_sides:
            width, height = height, width
        color = _BT709 if treatment.tone_map and is_hdr(first) else color_of(first)
        return cls(*size, orientation, FrameLayout(width, height, color))


class PictureReader:
    """Turns the pictures of one stream into I420 frames of one form."""

    def __init__(
        self,
        form: PictureForm,
        treatment: Treatment = PLAIN,
        findings: Findings | None = None,
        backdrop: Sequence[Plane] = (),
    ) -> None:
        """``backdrop`` are the planes of the picture that the treatment may have for a background."""
        self._form = form
        self._as_i420 = not (treatment.transparent or treatment.deep)
        self._flattens = bool(treatment.background)
        self._behind: Behind = backdrop or None
        if self._flattens and not backdrop and treatment.background != BLUR:
            self._behind = solid(treatment.background, form.layout.color)
        self._findings = findings or Findings()
        self._reformatter = VideoReformatter()

    def read(self, picture: av.VideoFrame) -> I420Frame:
        """Copy ``picture`` into a new frame; one of another size than the first is scaled to it."""
        flattened = self._flattens and has_alpha(picture)
        planes = self._planes(picture, with_alpha=flattened)
        frame = np.empty(self._form.layout.frame_bytes, np.uint8)
        self._fill(frame, planes)
        if flattened:
            self._flatten(frame, planes[3])
        return frame

    def pieces(self, picture: av.VideoFrame) -> FramePieces:
        """Return the planes of ``picture`` itself if they are those of its I420 frame; none if not.

        They hold the picture; decoders do not write to it again.
        """
        form, layout = self._form, self._form.layout
        scaled, shown = (form.width, form.height), (layout.width, layout.height)
        as_it_is = self._as_i420 and form.orientation == UPRIGHT and picture.format.name in _I420_FORMATS
        if not as_it_is or not (picture.width, picture.height) == scaled == shown:
            return ()
        planes = [_plane(picture, index) for index in range(3)]
        return planes if sum(plane.nbytes for plane in planes) == layout.frame_bytes else ()

    def read_transparent(self, picture: av.VideoFrame) -> YuvaFrame:
        """Copy ``picture`` into a new frame with its transparency, laid onto nothing."""
        layout = self._form.layout
        planes = self._planes(picture, with_alpha=has_alpha(picture))
        frame = np.full(layout.transparent_bytes, _OPAQUE, np.uint8)
        self._fill(frame[: layout.frame_bytes], planes)
        if has_alpha(picture):
            self._orient(planes[3], layout.opacity(frame))
        return frame

    def read_deep(self, picture: av.VideoFrame) -> DeepFrame:
        """Copy ``picture`` into a new frame of 10 bits."""
        if picture.format.name != DEEP_FORMAT or not self._has_its_size(picture):
            picture = self._reformat(picture, DEEP_FORMAT)
        frame = np.empty(self._form.layout.deep_bytes, np.uint8)
        for index, target in enumerate(self._form.layout.deep_planes(frame)):
            rows = _plane(picture, index)
            self._orient(rows.view("<u2"), target)
        return frame

    def _planes(self, picture: av.VideoFrame, *, with_alpha: bool) -> list[Plane]:
        """Return the planes of ``picture`` in the size of the form, 4:2:0; one of gray, four with alpha."""
        if with_alpha and picture.format.name != ALPHA_FORMAT:
            picture = self._reformat(picture, ALPHA_FORMAT)
        elif picture.format.name not in _COPIED_FORMATS or not self._has_its_size(picture):
            picture = self._reformat(picture, ALPHA_FORMAT if with_alpha else "yuv420p")
        return [_plane(picture, index) for index in range(len(picture.planes))]

    def _fill(self, frame: I420Frame, planes: list[Plane]) -> None:
        for index, target in enumerate(self._form.layout.planes(frame)):
            if index < len(planes):
                self._orient(planes[index], target)
            else:
                target.fill(_NO_CHROMA)

    def _flatten(self, frame: I420Frame, coded_alpha: Plane) -> None:
        """Lay a frame onto the background, where there is something to see of it."""
        layout = self._form.layout
        alpha = np.empty((layout.height, layout.width), np.uint8)
        self._orient(coded_alpha, alpha)
        if alpha.min() < _OPAQUE:
            self._findings.transparent += 1
            lay_onto(self._behind, layout.planes(frame), alpha)

    def _has_its_size(self, picture: av.VideoFrame) -> bool:
        return (picture.width, picture.height) == (self._form.width, self._form.height)

    def _reformat(self, picture: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
        color, rgb = self._form.layout.color, _is_rgb(picture)
        matrix = _SWSCALE_MATRICES[color.matrix]
        target_range = ColorRange.JPEG if color.range == "full" else ColorRange.MPEG
        kernel = Interpolation.BILINEAR if self._has_its_size(picture) else Interpolation.BICUBIC
        return self._reformatter.reformat(
            picture,
            width=max(2, self._form.width),
            height=max(2, self._form.height),
            format=pixel_format,
            src_colorspace=None if rgb else matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG if rgb else target_range,
            dst_color_range=target_range,
            interpolation=kernel | Interpolation.ACCURATE_RND,
            threads=1,
        )

    def _orient(self, plane: Plane | DeepPlane, target: Plane | DeepPlane) -> None:
        orientation = self._form.orientation
        rows, columns = target.shape[::-1] if orientation.swaps_sides else target.shape
        shown: MatLike = plane[:rows, :columns]
        if orientation.mirrored:
            shown = cv2.flip(shown, 1)
        if orientation.rotation:
            shown = cv2.rotate(shown, _TURNS[orientation.rotation])
        np.copyto(target, shown)


def _plane(picture: av.VideoFrame, index: int) -> Plane:
    plane = picture.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, abs(plane.line_size))
    return rows if plane.line_size > 0 else np.ascontiguousarray(rows[::-1])


def _is_rgb(picture: av.VideoFrame) -> bool:
    gray = picture.colorspace == _RGB_MATRIX and not _has_chroma(picture)
    return picture.format.is_rgb or picture.format.has_palette or (gray and picture.format.name != "gray")


def _has_chroma(picture: av.VideoFrame) -> bool:
    return len(picture.format.components) > 2  # luma and alpha; PyAV calls none of 4:4:4 chroma
