"""The formats of results. Needs no PyAV."""

from typing import Final, Literal

Format = Literal["mp4", "webm", "mov"]
"""MP4: H.264 and AAC. WebM: VP9 and Opus. MOV: ProRes 4444 and PCM. The latter two can be transparent."""

MEDIA_TYPES: Final[dict[Format, str]] = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
}
