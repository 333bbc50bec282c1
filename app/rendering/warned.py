"""What the maker of a render is warned of."""

from app.avatars.manifest import Manifest
from app.media.sound import Sound
from app.mouths.model import LipModel
from app.notices import Notice, NoticeCode, notice
from app.rendering.options import RenderOptions
from app.rendering.timeline import Timeline
from app.wav2lip.infer import Wav2LipInfer


def render_notices(
    options: RenderOptions, model: LipModel, avatar: Manifest, sound: Sound, timeline: Timeline
) -> list[Notice]:
    """Return the warnings about a sound, as it was decoded, the time that it gets, and what is lost."""
    told = [*sound.notices]
    frame = 1 / timeline.fps
    longer = float(timeline.duration - timeline.clip_frames / timeline.clip_fps)
    if longer >= frame and timeline.clip_frames > 1:
        detail = (
            f"The sound goes on for {longer:.2f} s after the clip's end; the clip is played on "
            f"(loop: {timeline.loop})."
        )
        told.append(notice(NoticeCode.SOUND_LONGER_THAN_CLIP, detail, longer))
    lost = float(sound.duration - timeline.duration)
    if lost >= frame:
        detail = f"The last {lost:.2f} s of the sound are left out: the video ends with the clip."
        told.append(notice(NoticeCode.SOUND_CUT, detail, lost))
    if avatar.transparent and options.format == "mp4":
        detail = (
            f"The footage has transparent parts, which an MP4 cannot have: the background "
            f"{avatar.treatment.background} shows there. Ask for webm or mov."
        )
        told.append(notice(NoticeCode.ALPHA_FLATTENED, detail))
    if options.strength != 1 and isinstance(model, Wav2LipInfer):
        detail = "'strength' has no effect: a model of Wav2Lip's kind moves the mouth as far as it hears."
        told.append(notice(NoticeCode.WITHOUT_EFFECT, detail))
    return told
