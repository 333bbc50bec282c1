"""The sounds of a render: what is heard, what the mouth follows, and the video's own audio under it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from app.errors import LimitExceeded, NoSound, NotAudio, UnsupportedMedia, UnusableMedia
from app.media.decoder import Decoder
from app.media.limits import AudioLimits
from app.media.mixing import mixed
from app.media.sound import Sound
from app.media.timing import exact_fps
from app.notices import Notice, NoticeCode, notice
from app.progress import Alive
from app.rendering.options import RenderOptions
from app.rendering.timeline import Timeline
from app.rendering.workspace import Workspace

_NOTED_SECONDS: Final = 0.05
"""Sounds that differ by less are as long as each other: encoders pad them."""
_OF_THE_MOUTH: Final = (NoticeCode.QUIET_SOUND, NoticeCode.OUT_OF_PHASE_SOUND)
"""What matters only of the sound that the mouth follows."""


@dataclass(frozen=True)
class SoundFiles:
    """What a render is given: the ``audio`` that is heard, and the ``voice`` that the mouth follows."""

    audio: Path
    voice: Path | None = None


def limits_for(
    options: RenderOptions, limits: AudioLimits, avatar_frames: int, avatar_fps: Fraction
) -> AudioLimits:
    """Return the limits of the sound of a render, which is as long as it, or no longer than the clip."""
    if options.length in ("audio", "longest") or avatar_frames == 1:
        return replace(limits, fps=exact_fps(options.fps) if options.fps else avatar_fps)
    return replace(limits, used_seconds=avatar_frames / avatar_fps)


def decode_sounds(
    files: SoundFiles, limits: AudioLimits, workspace: Workspace, decoder: Decoder, alive: Alive
) -> Sound:
    """Decode what a render is given; its speech is that of the voice, cut or padded to the audio's length."""
    sound = decoder.sound(files.audio, limits, workspace.track, workspace.speech, alive)
    if files.voice is None:
        return sound
    with _scratch(workspace) as scratch:
        try:
            apart = replace(limits, fps=None, used_seconds=Fraction(sound.duration))
            voice = decoder.sound(files.voice, apart, scratch.track, workspace.speech, alive)
        except (UnsupportedMedia, UnusableMedia, LimitExceeded) as error:
            raise type(error)(f"voice: {error.detail}") from error
    told = [each for each in sound.notices if each["code"] not in _OF_THE_MOUTH]
    told += [Notice(**each | {"detail": f"voice: {each['detail']}"}) for each in voice.notices]
    longer = voice.whole - sound.whole
    if abs(longer) >= _NOTED_SECONDS:
        what = "longer than the audio; its end is left out" if longer > 0 else "shorter; then the mouth rests"
        detail = f"The voice is {abs(longer):.2f} s {what}."
        told.append(notice(NoticeCode.VOICE_LENGTH, detail, abs(longer)))
    return replace(sound, speech_samples=voice.speech_samples, notices=told).lasting(sound.duration)


def with_own_sound(
    sound: Sound,
    video: Path,
    timeline: Timeline,
    level: float,
    workspace: Workspace,
    mixture: Path,
    decoder: Decoder,
    alive: Alive,
    check: Callable[[], object],
) -> Sound | None:
    """Return ``sound`` with that of ``video`` under it, made once as ``mixture`` for all who open it.

    None if the video has no sound. ``check`` is called once that is read, and raises if it is another's.
    """
    if mixture.exists():
        return replace(sound, track_path=str(mixture))
    clip_end = (timeline.clip_begin + timeline.clip_frames) / timeline.clip_fps
    limits = AudioLimits(sys.maxsize, used_seconds=clip_end, counts_rest=False)
    with _scratch(workspace) as scratch:
        try:
            own = decoder.sound(video, limits, scratch.track, scratch.speech, alive)
        except (NoSound, NotAudio):
            return None
        check()
        return mixed(sound, own, timeline.own_sound(), level, mixture, alive)


@contextmanager
def _scratch(workspace: Workspace) -> Iterator[Workspace]:
    """Give a folder for sounds that are only needed for a moment; several processes may have one."""
    workspace.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".sound-", dir=workspace.folder) as folder:
        yield Workspace(Path(folder))
