"""Everything a process needs to decode and render: one loaded model and the rooms around it."""

from dataclasses import dataclass
from functools import partial
from typing import Self

from app.avatars.avatar import is_whole, layout_of
from app.avatars.builder import AvatarBuilder, AvatarRequest
from app.avatars.crops import CropForm
from app.avatars.frame_cache import FrameCache
from app.avatars.manifest import Manifest
from app.avatars.store import AvatarStore
from app.errors import AvatarExists, InvalidRequest
from app.faces.detector import load_detector
from app.faces.types import Boxes
from app.media.decoder import HERE, Decoder
from app.media.limits import AudioLimits, VideoLimits, check_frames
from app.media.nvenc import choose_encoder
from app.media.probe import VideoInfo
from app.mouths.model import LipModel, open_model
from app.progress import Alive, Progress
from app.rendering.framing import frame_of
from app.rendering.renderer import Renderer, RenderRequest, timeline_of
from app.rendering.workspace import Workspace
from app.settings import Settings
from app.wav2lip.devices import has_cuda_driver


@dataclass(frozen=True)
class Workshop:
    """One model, and a builder and a renderer that use it."""

    infer: LipModel
    builder: AvatarBuilder
    renderer: Renderer

    @classmethod
    def open(cls, settings: Settings, decoder: Decoder = HERE) -> Self:
        """Load the model; ``decoder`` decodes what strangers sent.

        Raises :class:`ModelError` if it or the detector cannot be used.
        """
        infer = open_model(
            settings.model_path,
            dtype=None if settings.dtype == "auto" else settings.dtype,
            device=settings.first_device,
            cache_dir=settings.data_dir / "cache",
        )
        store = AvatarStore(settings.avatars_dir)
        cache = FrameCache(store, settings.frame_cache_bytes, settings.frames_dir)
        return cls(
            infer=infer,
            builder=AvatarBuilder(
                store=store,
                cache=cache,
                form=CropForm(infer.face_size, infer.info.reference),
                limits=VideoLimits(settings.max_video_seconds, settings.max_pixels),
                detector=load_detector(settings.detector, settings.first_device),
                decoder=decoder,
            ),
            renderer=Renderer(
                infer=infer,
                store=store,
                cache=cache,
                limits=AudioLimits(settings.max_audio_seconds, settings.max_frames),
                encoder_threads=settings.encoder_threads,
                encoder=choose_encoder(settings.video_encoder, _encoding_device(settings)),
                decoder=decoder,
            ),
        )

    def build_ahead(
        self, avatar: AvatarRequest, render: RenderRequest, workspace: Workspace, progress: Progress
    ) -> Manifest:
        """Make the avatar of a render that brings its video; ``progress`` tells of the frames of both.

        One that is damaged is made again. Raises :class:`AvatarExists` if it is there already, or what is
        wrong with the video or the sound.
        """
        store = self.builder.store
        if store.exists(avatar.id):
            if is_whole(store, avatar.id):
                raise AvatarExists(f"There is already an avatar {avatar.id!r}; delete it.")
            store.delete(avatar.id)
        alive = partial(progress, 0, 0)
        info = self.builder.decoder.probe(avatar.video, self.builder.limits, avatar.treatment, alive)
        ahead = self._listen_ahead(info, render, workspace, alive)

        def check(manifest: Manifest, boxes: Boxes) -> None:
            count, fps = manifest.frame_count, manifest.fps
            alive = partial(progress, count, count + ahead)
            sound = self.renderer.listen(render, count, fps, workspace, alive)
            timeline = timeline_of(render.options, count, fps, sound, alive)
            frame_of(render.options, layout_of(manifest), boxes[timeline.clip])

        return self.builder.build(avatar, lambda done, total: progress(done, total + ahead), check, info)

    def _listen_ahead(
        self, info: VideoInfo, render: RenderRequest, workspace: Workspace, alive: Alive
    ) -> int:
        """Decode the sound of a render whose avatar is still to be made; return how many frames it will have.

        ``info`` is of the avatar's video. So what is wrong with its header, or the sound, is said before the
        work begins; not what depends on the video's length, of which a header is only a promise: then there
        are 0 frames.
        """
        sound = self.renderer.listen(render, info.frame_count, info.fps, workspace, alive)
        try:
            timeline = timeline_of(render.options, info.frame_count, info.fps, sound, alive)
        except InvalidRequest:
            return 0
        check_frames(timeline.frame_count, self.renderer.limits)
        return timeline.frame_count


def _encoding_device(settings: Settings) -> str:
    """Return where frames could be encoded: beside a GPU even if the model does without it."""
    device = settings.first_device
    return "cuda" if device == "auto" and has_cuda_driver() else device
