"""The warnings about a render."""

from typing import Final

import numpy as np

from app.audio.loudness import BLOCK_SECONDS, loudness_of
from app.audio.windows import FrameTimes
from app.avatars.manifest import Manifest
from app.faces.types import runs_of
from app.media.sound import Sound
from app.mouths.ear import SpeechShares
from app.mouths.model import LipModel
from app.mouths.types import Flags
from app.notices import Notice, NoticeCode, notice
from app.rendering.options import RenderOptions
from app.rendering.timeline import Timeline
from app.wav2lip.infer import Wav2LipInfer

LEAST_SPEECH: Final = 0.25
"""How surely somebody speaks, 0..1, from which on somebody does. Of 12 recordings in eight languages a tenth
of a second was loud below this in none; of chords always."""
_UNSPOKEN_SECONDS: Final = 1.5
"""Music or noise is told of from this length on: a cough, or a laugh, is shorter."""

LEAST_CHANGED: Final = 0.1
"""Share of the frames in which the mouth is changed, of those in which it is to be: with less, nobody is seen
to say anything."""


def render_notices(
    options: RenderOptions,
    model: LipModel,
    avatar: Manifest,
    sound: Sound,
    timeline: Timeline,
    *,
    own_sound: bool,
) -> list[Notice]:
    """Return the warnings about a sound, as it was decoded, the time that it gets, and what is lost.

    ``own_sound`` tells whether the video's own is under it.
    """
    told = [*sound.notices]
    frame = 1 / timeline.fps
    longer = float(timeline.duration - timeline.clip_seconds)
    if longer >= frame and timeline.clip_frames > 1:
        then = {"stretch": "which is slowed down", "hold": "whose last frame stays"}
        goes_on = then.get(timeline.loop, "which continues")
        detail = f"The audio lasts {longer:.2f} s longer than the clip, {goes_on} (loop: {timeline.loop})."
        told.append(notice(NoticeCode.SOUND_LONGER_THAN_CLIP, detail, longer))
    lost = float(sound.whole - timeline.duration)
    if lost >= frame:
        detail = f"The last {lost:.2f} s of the audio were cut: the video ends with the clip."
        told.append(notice(NoticeCode.SOUND_CUT, detail, lost))
    if avatar.transparent and options.format == "mp4":
        detail = (
            f"The footage has transparent parts, which an MP4 cannot have: {avatar.treatment.behind} shows "
            "there. Ask for webm or mov."
        )
        told.append(notice(NoticeCode.ALPHA_FLATTENED, detail))
    if options.strength != 1 and isinstance(model, Wav2LipInfer) and options.detail == "model":
        detail = "'strength' has no effect: models with Wav2Lip's interface have no such control."
        told.append(notice(NoticeCode.WITHOUT_EFFECT, detail))
    if options.detail == "footage" and not isinstance(model, Wav2LipInfer):
        detail = "'detail' has no effect: this model always shows the footage's pixels."
        told.append(notice(NoticeCode.WITHOUT_EFFECT, detail))
    if options.keep_sound and not own_sound:
        detail = "'keep_sound' has no effect: the video has no sound."
        told.append(notice(NoticeCode.WITHOUT_EFFECT, detail))
    if options.hdr == "keep" and avatar.hdr is None:
        detail = "'hdr' has no effect: the footage has no high dynamic range."
        told.append(notice(NoticeCode.WITHOUT_EFFECT, detail))
    return told


def speech_notices(sound: Sound, speech: SpeechShares, times: FrameTimes) -> list[Notice]:
    """Return the warnings about a sound in whose loud parts nobody speaks.

    ``speech`` tells how surely somebody does at each of the ``times`` of the sound, seconds, evenly spaced;
    some may lie outside of it.
    """
    loud = np.append(loudness_of(sound).loud, False)  # and nothing after its end, nor before it
    blocks = np.clip(np.floor(times / BLOCK_SECONDS).astype(np.int64), -1, len(loud) - 1)
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    unspoken = runs_of(loud[blocks] & (speech < LEAST_SPEECH))
    lengths = [step * (stop - start) for start, stop in unspoken]
    seconds = sum(length for length in lengths if length >= _UNSPOKEN_SECONDS)
    if not seconds:
        return []
    detail = (
        f"For {seconds:.2f} s there is music or noise, but nobody speaks or sings; the mouth rests. "
        "'voice' can hold the voice alone."
    )
    return [notice(NoticeCode.NO_SPEECH, detail, seconds)]


def change_notices(changed: Flags, fps: float) -> list[Notice]:
    """Return the warning that next to no mouth is ``changed`` (n,), of the frames in which it is to be."""
    count = int(changed.sum())
    if not len(changed) or count >= LEAST_CHANGED * len(changed):
        return []
    seconds = (len(changed) - count) / fps
    detail = (
        f"For {seconds:.2f} s of {len(changed) / fps:.2f} s the mouth is as it was filmed: it is not "
        "visible there, or for too short a time."
    )
    return [notice(NoticeCode.MOUTH_UNCHANGED, detail, seconds)]
