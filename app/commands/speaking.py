"""Commands that render."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.avatars.options import AvatarOptions, implicit_id
from app.avatars.store import AvatarStore
from app.bundled import bundled
from app.commands.avatars import avatar_add
from app.commands.console import (
    AvatarArgument,
    AvatarsDirOption,
    BackdropOption,
    DeviceOption,
    ModelOption,
    open_workshop,
    out,
    print_warnings,
    progress,
    settings_of,
)
from app.commands.options import with_options
from app.errors import AvatarExists, InvalidRequest
from app.media.formats import Format
from app.rendering.options import RenderOptions
from app.rendering.workspace import Workspace

if TYPE_CHECKING:
    from app.rendering.opened import RenderReport

AudioArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The audio to say.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="The video to write, also over another. Default: a new one, out.mp4 (or as --format says).",
    ),
]

VoiceOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="What the mouth follows while the audio is heard."),
]

_ENDINGS: Final[dict[Format, frozenset[str]]] = {
    "mp4": frozenset({"mp4", "m4v"}),
    "webm": frozenset({"webm"}),
    "mov": frozenset({"mov", "qt"}),
}
_OTHERS: Final = re.compile(
    "3g2|3gp|asf|avi|divx|dv|f4v|flv|m1v|m2p|m2ts?|m2v|mk3d|mkv|mpe|mpe?g|mts|mxf|nut|og[mv]|rm|rmvb|swf|ts|vob"
    "|wmv|y4m"
    "|aac|e?ac3|aif|aif[cf]|amr|au|caf|dts|flac|m3u8|m4[ab]|midi?|mka|mp[23]|og[ag]|opus|snd|w64|wave?|weba|wma"
    "|a?png|avif|bmp|gif|hei[cf]|ico|jp2|jpe?g?|jxl|psd|svg|tiff?|webp"
    "|7z|bz2|gz|rar|tar|tgz|xz|zip|zst"
)
"""Endings of other videos, of sound, pictures and archives. Any else is part of a name, as in ``Dr. Who``."""


@with_options(options=RenderOptions)
def render(
    avatar_id: AvatarArgument,
    audio: AudioArgument,
    output: OutputOption = None,
    voice: VoiceOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    avatars_dir: AvatarsDirOption = None,
    *,
    options: Any,
) -> None:
    """Render a video in which the avatar says the audio."""
    from app.media.limits import AudioLimits
    from app.media.probe import probe_audio
    from app.rendering.renderer import RenderRequest

    output = _named(output, options)
    settings = settings_of(model=model, device=device, avatars_dir=avatars_dir)
    AvatarStore(settings.avatars_dir).path(avatar_id)
    probe_audio(audio, AudioLimits(settings.max_audio_seconds))
    workshop = open_workshop(settings)
    with _workspace(output) as workspace, progress("Rendering") as report:
        done = workshop.renderer.render(RenderRequest(avatar_id, audio, options, voice), workspace, report)
    _tell(output, done)


@with_options(avatar=AvatarOptions, options=RenderOptions)
def dub(
    video: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="The video of the person who says it.")
    ],
    audio: AudioArgument,
    output: OutputOption = None,
    voice: VoiceOption = None,
    background_picture: BackdropOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    avatars_dir: AvatarsDirOption = None,
    *,
    avatar: Any,
    options: Any,
) -> None:
    """Make the person in a video say something else, in one step.

    The prepared video is kept for a day after its last use, so that the next time is faster
    (MOUTHPIECE_IMPLICIT_AVATAR_TTL, seconds).
    """
    from app.avatars.builder import AvatarRequest
    from app.media.digests import sha256_of
    from app.media.limits import AudioLimits, VideoLimits
    from app.media.probe import probe_audio, probe_video
    from app.rendering.renderer import RenderRequest

    output = _named(output, options)
    settings = settings_of(model=model, device=device, avatars_dir=avatars_dir)
    probe_video(video, VideoLimits(settings.max_video_seconds, settings.max_pixels))
    probe_audio(audio, AudioLimits(settings.max_audio_seconds))
    workshop, store = open_workshop(settings), AvatarStore(settings.avatars_dir)
    for unused in store.unused(datetime.now(UTC) - timedelta(seconds=settings.implicit_avatar_ttl)):
        store.delete(unused)
    backdrop = sha256_of(background_picture) if background_picture else None
    making = AvatarRequest(
        implicit_id(sha256_of(video), avatar, backdrop),
        video,
        video.name,
        options=avatar,
        implicit=True,
        backdrop=background_picture,
    )
    rendering = RenderRequest(making.id, audio, options, voice)
    with _workspace(output) as workspace, progress("Dubbing") as report:
        made = 0
        try:
            manifest = workshop.build_ahead(making, rendering, workspace, report)
            made = manifest.frame_count
        except AvatarExists:
            manifest = store.manifest(making.id)
            if not manifest.implicit:
                raise
            store.use(making.id)
        done = workshop.renderer.render(
            rendering, workspace, lambda frames, total: report(made + frames, made + total)
        )
    print_warnings(manifest.warnings)
    _tell(output, done)


def demo(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The video to write. [demo.mp4]")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Have the person in the bundled clip say the bundled words."""
    output = _named(output, RenderOptions(), "demo")  # before the avatar is made
    clip, words = bundled("demo") / "portrait.mp4", bundled("demo") / "speech.wav"
    with tempfile.TemporaryDirectory(prefix="mouthpiece-") as folder:
        here = {"model": model, "device": device, "avatars_dir": Path(folder)}
        avatar_add(video=clip, avatar_id="demo", **here)
        render(avatar_id="demo", audio=words, output=output, **here)


def _named(output: Path | None, options: RenderOptions, usual: str = "out") -> Path:
    """Return the file to write: ``output``, or the ``usual`` name with the ending of the options' format.

    Raises InvalidRequest for a name that promises another format, or that is a folder or in none, and where
    none is given and there is such a file already.
    """
    if output is None:
        output = Path(f"{usual}.{options.format}")
        if output.exists():
            raise InvalidRequest(f"There is a file {output} already: name the one to write with --output.")
    suffix = output.suffix.removeprefix(".").lower()
    promised = _OTHERS.fullmatch(suffix) or any(suffix in endings for endings in _ENDINGS.values())
    if promised and suffix not in _ENDINGS[options.format]:
        inner = output.with_suffix("")  # of a.mp4.gz
        right = inner if inner.suffix == f".{options.format}" else output.with_suffix(f".{options.format}")
        other = f"add --format {suffix}, or " if suffix in _ENDINGS else ""
        raise InvalidRequest(f"{output} would hold {options.format}: {other}name the file {right}.")
    if output.is_dir():
        raise InvalidRequest(
            f"{output} is a folder: name the file to write, such as {output / f'out.{options.format}'}."
        )
    if not output.parent.is_dir():
        raise InvalidRequest(f"There is no folder {output.parent} to write {output.name} into.")
    return output


@contextmanager
def _workspace(output: Path) -> Iterator[Workspace]:
    """Give a workspace beside ``output``, which becomes its result."""
    from app.media.files import move

    with tempfile.TemporaryDirectory(prefix=".mouthpiece-", dir=output.parent) as folder:
        workspace = Workspace(Path(folder))
        yield workspace
        move(workspace.result, output)


def _tell(output: Path, done: "RenderReport") -> None:
    out.print(
        f"{output}: {done.frame_count} frames, {done.duration:.2f} s, rendered in {done.wall_seconds:.2f} s "
        f"({done.duration / done.wall_seconds:.2f}x real time)."
    )
    print_warnings(done.warnings)
