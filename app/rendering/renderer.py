"""From an avatar and audio to a video: segment by segment, each on disk before the next starts."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from time import perf_counter

from app.audio.loudness import last_word
from app.audio.windows import MelTrack
from app.avatars.avatar import Avatar, check_same, color_of, open_avatar
from app.avatars.crops import CropForm
from app.avatars.frame_cache import FrameCache
from app.avatars.manifest import Manifest
from app.avatars.store import SOURCE, AvatarStore, own_file
from app.errors import InvalidRequest
from app.media.decoder import HERE, Decoder
from app.media.encoder import VideoFormat
from app.media.frames import FrameLayout
from app.media.limits import AudioLimits, check_frames
from app.media.quality import LEAST_HEVC, Encoder, encoder_settings
from app.media.sound import Sound
from app.media.timing import Segment
from app.mouths.model import LipModel
from app.options import plain
from app.progress import Alive, Progress
from app.rendering.chosen import ChosenMouths
from app.rendering.encoding import SegmentEncoding, lanes_for, threads_for
from app.rendering.frames import FrameMaker
from app.rendering.framing import frame_of
from app.rendering.generated import GeneratedMouths
from app.rendering.mouths import Mouths
from app.rendering.opened import OpenRender, RenderReport, share_sound, shared_sound
from app.rendering.options import RenderOptions
from app.rendering.packing import JoinedPieces, Packing, StreamedMp4
from app.rendering.plan import Plan
from app.rendering.score import ScoreBook, Scorer
from app.rendering.sounds import SoundFiles, decode_sounds, limits_for, with_own_sound
from app.rendering.stages import StageSeconds
from app.rendering.timeline import Timeline, lay_out, split_segments
from app.rendering.wanted import GeneratedShapes, HeardShapes, Wanted
from app.rendering.warned import render_notices
from app.rendering.weights import Weights
from app.rendering.workspace import Workspace
from app.wav2lip.infer import Wav2LipInfer


@dataclass(frozen=True)
class RenderRequest:
    """What to render, and how."""

    avatar_id: str
    audio: Path
    options: RenderOptions = field(default_factory=RenderOptions)
    voice: Path | None = None
    """What the mouth follows while ``audio`` is heard; None: the audio itself."""

    @property
    def sounds(self) -> SoundFiles:
        """What is to be said."""
        return SoundFiles(self.audio, self.voice)


@dataclass(frozen=True)
class Renderer:
    """Renders with one loaded model."""

    infer: LipModel
    store: AvatarStore
    cache: FrameCache
    limits: AudioLimits
    encoder_threads: int = 0
    encoders: int = 0
    """How many segments are encoded at once; 0: chosen from the cores and the model's device."""
    encoder: Encoder = "libx264"
    decoder: Decoder = HERE

    def render(
        self,
        request: RenderRequest,
        workspace: Workspace,
        progress: Progress,
        *,
        keep_fragments: bool = False,
    ) -> RenderReport:
        """Render into ``workspace.result``; segments that an earlier attempt left are not made again.

        Raises :class:`AvatarNotFound`, :class:`NotAudio`, :class:`NoSound`, :class:`LimitExceeded` or what
        ``progress`` raises.
        """
        started = perf_counter()
        with self.open(request, workspace, partial(progress, 0, 0)) as render:
            render.begin()
            frames = render.encode(render.segments, progress)
            alive = partial(progress, render.frame_count, render.frame_count)
            render.join(alive)
            last = render.last_notices()
            with suppress(OSError):  # the video is there all the same
                workspace.clear_scratch(keep_fragments=keep_fragments)
        return render.report(frames, perf_counter() - started, last)

    def listen(
        self,
        request: RenderRequest,
        avatar_frames: int,
        avatar_fps: Fraction,
        workspace: Workspace,
        alive: Alive,
    ) -> Sound:
        """Decode the sound of a render and leave it to whoever opens it, perhaps before there is its avatar.

        What was left before stays if it is long enough for so many frames. Raises :class:`NotAudio`,
        :class:`NoSound`, :class:`LimitExceeded` or what ``alive`` raises.
        """
        limits = limits_for(request.options, self.limits, avatar_frames, avatar_fps)
        sound = self._decode(request.sounds, limits, workspace, alive)
        share_sound(workspace, sound)
        return sound

    @contextmanager
    def open(self, request: RenderRequest, workspace: Workspace, alive: Alive) -> Iterator[OpenRender]:
        """Open the avatar and the sound of a render; while the block lasts its segments can be encoded.

        Raises what :meth:`render` raises.
        """
        started = perf_counter()
        with self._open(request, alive) as avatar:
            manifest = avatar.manifest
            limits = limits_for(request.options, self.limits, manifest.frame_count, manifest.fps)
            decoded = self._decode(request.sounds, limits, workspace, alive)
            timeline = timeline_of(request.options, manifest.frame_count, manifest.fps, decoded, alive)
            sound = decoded if timeline.duration == decoded.duration else decoded.lasting(timeline.duration)
            mixture = self._mixture(request, manifest, sound, timeline, workspace, alive)
            seconds = StageSeconds(sound=perf_counter() - started)
            framing = frame_of(request.options, avatar.layout, avatar.boxes[timeline.clip])
            check_frames(timeline.frame_count, self.limits)
            lanes = self.encoders or lanes_for(
                self.infer.info.device, avatar.layout.frame_bytes, self.infer.batch_size, self.encoder
            )
            video = _video_format(avatar, framing.layout, timeline.fps)
            threads = self.encoder_threads or threads_for(video.layout.height, lanes)
            packing = self._packing(request.options, video, mixture or sound, threads)
            segments = split_segments(timeline.frame_count, timeline.fps)
            plan = self._plan(request, avatar, timeline, packing, len(segments))
            mouths = self._mouths(request, avatar, sound, timeline, segments, workspace, plan)
            yield OpenRender(
                workspace=workspace,
                plan=plan,
                segments=segments,
                encoding=SegmentEncoding(workspace, packing),
                maker=FrameMaker(avatar, timeline, mouths, framing, seconds),
                lanes=lanes,
                sound=decoded,
                notices=render_notices(
                    request.options, self.infer, manifest, decoded, timeline, own_sound=mixture is not None
                ),
            )

    def _mixture(
        self,
        request: RenderRequest,
        manifest: Manifest,
        sound: Sound,
        timeline: Timeline,
        workspace: Workspace,
        alive: Alive,
    ) -> Sound | None:
        """Return the sound with the video's own under it; None if that is not wanted, or there is none."""
        level = request.options.keep_sound
        if not level:
            return None
        video = own_file(self.store.path(request.avatar_id), SOURCE, request.avatar_id)
        mixture, check = workspace.mixture(manifest.source.sha256), partial(check_same, self.store, manifest)
        return with_own_sound(sound, video, timeline, level, workspace, mixture, self.decoder, alive, check)

    def _mouths(
        self,
        request: RenderRequest,
        avatar: Avatar,
        sound: Sound,
        timeline: Timeline,
        segments: list[Segment],
        workspace: Workspace,
        plan: Plan,
    ) -> Mouths:
        """Return where the mouths of a render come from."""
        model, options = self.infer, request.options
        wanted: Wanted
        weights = Weights(avatar.person, timeline)
        if isinstance(model, Wav2LipInfer):
            offset = options.mouth_offset_ms + model.info.mouth_offset_ms
            if options.detail == "model":
                return GeneratedMouths(model, avatar, MelTrack(sound), timeline, weights, offset)
            wanted = GeneratedShapes(model, avatar, MelTrack(sound), timeline, offset)
        else:
            wanted = HeardShapes(avatar.person, model.ear, sound, timeline, options.mouth_offset_ms)
        scorer = Scorer(avatar.person, wanted, timeline, options.strength)
        key = f"{plan.digest} {sound.speech_sha256()}"
        book = ScoreBook(scorer, segments, workspace.scores, key)
        return ChosenMouths(avatar, weights, book)

    def _open(self, request: RenderRequest, alive: Alive) -> Avatar:
        return open_avatar(
            self.store,
            self.cache,
            request.avatar_id,
            CropForm(self.infer.face_size, self.infer.info.reference),
            alive,
            self.decoder,
            transparent=request.options.format != "mp4",
            deep=request.options.hdr == "keep",
        )

    def _decode(self, sounds: SoundFiles, limits: AudioLimits, workspace: Workspace, alive: Alive) -> Sound:
        workspace.folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            shared, used = shared_sound(workspace), limits.used_seconds
            if not shared.cut or (used is not None and shared.samples >= used * shared.sample_rate):
                return shared  # else it was cut to a clip that a header had told to be shorter
        return decode_sounds(sounds, limits, workspace, self.decoder, alive)

    def _packing(self, options: RenderOptions, video: VideoFormat, sound: Sound, threads: int) -> Packing:
        if options.format == "mp4":
            encoder = "libx265" if video.deep else self.encoder
            return StreamedMp4(video, encoder_settings(options.quality, threads, encoder), sound)
        return JoinedPieces(options.format, video, options.quality, threads, sound)

    def _plan(
        self, request: RenderRequest, avatar: Avatar, timeline: Timeline, packing: Packing, fragments: int
    ) -> Plan:
        return Plan(
            avatar_id=request.avatar_id,
            avatar_created_at=avatar.manifest.created_at.isoformat(),
            model_sha256=self.infer.info.sha256,
            encoder=packing.encoder,
            options=plain(request.options),
            fps=str(timeline.fps),
            frame_count=timeline.frame_count,
            fragment_count=fragments,
        )


def _video_format(avatar: Avatar, layout: FrameLayout, fps: Fraction) -> VideoFormat:
    """Return the form of a result of this size. Raises InvalidRequest if none of 10 bits can be so small."""
    if avatar.deep is not None and avatar.manifest.hdr is not None:
        if min(layout.width, layout.height) < LEAST_HEVC:
            raise InvalidRequest(
                f"hdr: the result has {layout.width}x{layout.height} pixels; to keep HDR it must have "
                f"{LEAST_HEVC}x{LEAST_HEVC}. Ask for a greater height, or omit 'hdr'."
            )
        layout = replace(layout, color=color_of(avatar.manifest.hdr))
    return VideoFormat(
        layout,
        fps,
        avatar.manifest.sample_aspect_ratio,
        transparent=avatar.transparent is not None,
        deep=avatar.deep is not None,
    )


def timeline_of(
    options: RenderOptions, avatar_frames: int, avatar_fps: Fraction, sound: Sound, alive: Alive
) -> Timeline:
    """Return the timeline of a render of an avatar of so many frames. Raises :class:`InvalidRequest`."""
    end = sound.duration
    if options.rest == "own":
        end = last_word(sound, alive)
        if end:  # the mouth says it so much later, and goes on where silence follows the sound
            end += max(options.mouth_offset_ms, 0) / 1000
    return lay_out(options, avatar_frames, avatar_fps, sound.duration, end)
