"""The decoders that may run: the common ones, out of FFmpeg's five hundred."""

from typing import Final

_VIDEO: Final = """
h264 hevc vvc av1 libdav1d vp8 vp9 libvpx libvpx-vp9 theora vp3 vp6 vp6f flv h263 h263p
mpeg1video mpeg2video mpegvideo mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4 wmv1 wmv2 wmv3 vc1
mjpeg mjpegb prores dnxhd cfhd dvvideo ffv1 ffvhuff huffyuv utvideo magicyuv
rawvideo v210 png apng gif webp qtrle cinepak svq1 svq3
"""

_SOUND: Final = """
aac aac_fixed aac_latm mp1 mp1float mp2 mp2float mp3 mp3float opus libopus vorbis flac alac ac3 eac3
dca truehd mlp amrnb amrwb libopencore_amrnb libopencore_amrwb speex libspeex wavpack tta wmav1 wmav2
gsm gsm_ms g722 dvaudio adpcm_ima_wav adpcm_ima_qt adpcm_ms adpcm_yamaha adpcm_swf
"""


def is_video(name: str) -> bool:
    """Return whether the decoder of this name is one of pictures that may be run."""
    return name in _VIDEO.split()


def is_sound(name: str) -> bool:
    """Return whether the decoder of this name is one of sound that may be run; of PCM there are many."""
    return name in _SOUND.split() or name.startswith("pcm_")
