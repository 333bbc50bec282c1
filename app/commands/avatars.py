"""Commands for avatars: add, list, remove."""

import secrets
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from app.avatars.options import AvatarOptions
from app.commands.console import (
    AvatarArgument,
    AvatarsDirOption,
    BackdropOption,
    DeviceOption,
    ModelOption,
    err,
    open_workshop,
    out,
    print_table,
    print_warnings,
    progress,
    settings_of,
)
from app.commands.options import with_options

avatars = typer.Typer(no_args_is_help=True, help="Make, list and remove avatars.")


@avatars.command("add")
@with_options(options=AvatarOptions)
def avatar_add(
    video: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A video with a face.")],
    avatar_id: Annotated[
        str | None,
        typer.Option("--id", help="a-z, 0-9 and '-', up to 63. Default: made from the file's name."),
    ] = None,
    background_picture: BackdropOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    avatars_dir: AvatarsDirOption = None,
    *,
    options: Any,
) -> None:
    """Make an avatar from a video."""
    from app.avatars.builder import AvatarRequest
    from app.avatars.manifest import check_avatar_id
    from app.media.limits import VideoLimits
    from app.media.probe import probe_video

    settings = settings_of(model=model, device=device, avatars_dir=avatars_dir)
    request = AvatarRequest(
        id=check_avatar_id(avatar_id or _id_from(video)),
        video=video,
        filename=video.name,
        options=options,
        backdrop=background_picture,
    )
    probe_video(video, VideoLimits(settings.max_video_seconds, settings.max_pixels))
    workshop = open_workshop(settings)
    with progress("Following the face") as report:
        manifest = workshop.builder.build(request, report)
    out.print(
        f"Avatar [bold]{manifest.id}[/]: {manifest.width}x{manifest.height}, {float(manifest.fps):.6g} fps, "
        f"{manifest.frame_count} frames, {manifest.face_frames} of them with a face."
    )
    print_warnings(manifest.warnings)


@with_options(options=AvatarOptions)
def check(
    video: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A video with a face.")],
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="A JPEG to write: frames with the face and the mask.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
    background_picture: BackdropOption = None,
    *,
    options: Any,
) -> None:
    """Report how well the person in a video will speak, and why.

    The verdict is good, fair or poor. Nothing is stored.
    """
    from app.avatars.builder import AvatarBuilder, AvatarRequest
    from app.avatars.crops import CropForm
    from app.avatars.frame_cache import FrameCache
    from app.avatars.store import AvatarStore
    from app.faces.detector import load_detector
    from app.media.limits import VideoLimits

    settings = settings_of()
    limits = VideoLimits(settings.max_video_seconds, settings.max_pixels)
    with tempfile.TemporaryDirectory(prefix="mouthpiece-") as name:
        folder = Path(name)
        store = AvatarStore(folder)
        cache = FrameCache(store, settings.frame_cache_bytes)
        detector = load_detector(settings.detector, settings.first_device)
        builder = AvatarBuilder(store, cache, CropForm(96), limits, detector)
        with progress("Looking") as report:
            request = AvatarRequest("check", video, video.name, options, backdrop=background_picture)
            found = builder.examine(request, (sheet or folder / "sheet.jpg").absolute(), report)
    if as_json:
        out.print_json(data=found.as_dict())
        return
    out.print(f"{video.name}: [bold]{found.verdict}[/]", highlight=False)
    for reason in found.reasons:
        out.print(f"  {reason.code}: {escape(reason.detail)}", highlight=False, soft_wrap=True)
    print_warnings(found.warnings)


@avatars.command("list")
def avatar_list(
    avatars_dir: AvatarsDirOption = None,
    implicit: Annotated[bool, typer.Option("--implicit", help="Also those that 'dub' keeps.")] = False,
) -> None:
    """List the avatars, oldest first."""
    from app.avatars.store import AvatarStore

    folder = settings_of(avatars_dir=avatars_dir).avatars_dir
    err.print(f"Avatars in {escape(str(folder.absolute()))}:", highlight=False, soft_wrap=True)
    table = Table(box=None)
    table.add_column("id", overflow="fold")  # never shortened: other commands take it
    for heading in ("size", "fps", "frames", "with face", "seconds", "made"):
        table.add_column(heading)
    for manifest in AvatarStore(folder).list():
        if manifest.implicit and not implicit:
            continue
        table.add_row(
            manifest.id,
            f"{manifest.width}x{manifest.height}",
            f"{float(manifest.fps):.6g}",
            str(manifest.frame_count),
            str(manifest.face_frames),
            f"{manifest.duration:.2f}",
            manifest.created_at.isoformat(timespec="seconds"),
        )
    print_table(table)


@avatars.command("rm")
def avatar_rm(avatar_id: AvatarArgument, avatars_dir: AvatarsDirOption = None) -> None:
    """Remove an avatar."""
    from app.avatars.store import AvatarStore

    AvatarStore(settings_of(avatars_dir=avatars_dir).avatars_dir).delete(avatar_id)


def _id_from(video: Path) -> str:
    """Make an avatar id of a file's name."""
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in video.stem.lower())
    return name.strip("-")[:63] or f"avatar-{secrets.token_hex(4)}"
