"""The command line: the service's jobs from a shell, with no server in between."""

import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.avatars.options import AvatarOptions
from app.bundled import bundled
from app.command_options import with_options
from app.errors import MouthpieceError
from app.notices import Notice
from app.rendering.options import RenderOptions
from app.settings import Settings

if TYPE_CHECKING:
    from app.workshop import Workshop

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make a filmed person say new words.\n\n"
    "First make an avatar of a video, then render sound with it:\n\n"
    "  mouthpiece avatar add me.mp4 --id me\n\n  mouthpiece render me words.wav -o out.mp4\n\n"
    "Or start the HTTP service with 'mouthpiece serve' and do the same by POST. Settings are environment "
    "variables that begin with MOUTHPIECE_; options given here override them.",
)
avatars = typer.Typer(no_args_is_help=True, help="Make, list and remove avatars.")
app.add_typer(avatars, name="avatar")

out = Console()
err = Console(stderr=True)

ModelOption = Annotated[
    Path | None, typer.Option("--model", help="The model, .pth or .onnx. Default: the one that ships.")
]
DeviceOption = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
AvatarsDirOption = Annotated[
    Path | None, typer.Option("--avatars-dir", help="Folder that holds the avatars.")
]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. [8000]")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    avatars_dir: AvatarsDirOption = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for jobs, uploads and results.")] = None,
) -> None:
    """Start the HTTP service; its documentation is then at /docs.

    It answers at once; /readyz says when the model is loaded and warm. Ctrl-C stops it; what was queued or
    running goes on at the next start.
    """
    from app.main import serve as run

    run(
        _settings(
            host=host, port=port, model=model, device=device, avatars_dir=avatars_dir, data_dir=data_dir
        )
    )


@app.command()
def worker(
    device: DeviceOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers on a CPU; on CUDA there is one a device. [1]")
    ] = None,
) -> None:
    """Give this machine to a Ray cluster, as 'ray start' does, until told to stop.

    Needs the extra 'cluster', MOUTHPIECE_RAY_ADDRESS, the head's RAY_AUTH_TOKEN, and the service's folders of
    avatars and data. SIGTERM ends it: other machines go on with its work.
    """
    from app.workers.join import join

    join(_settings(device=device, workers=workers))


@app.command()
def head() -> None:
    """Begin a Ray cluster on this machine, as 'ray start --head' does; then start the service beside it.

    Listens on the port of MOUTHPIECE_RAY_ADDRESS; needs RAY_AUTH_TOKEN. Returns when the head runs.
    """
    from app.workers.join import start_head

    start_head(_settings())


@avatars.command("add")
@with_options(AvatarOptions)
def avatar_add(
    video: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A video in which a face is seen.")
    ],
    avatar_id: Annotated[
        str | None,
        typer.Option("--id", help="a-z, 0-9 and '-', up to 63. Default: made from the file's name."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    avatars_dir: AvatarsDirOption = None,
    *,
    options: Any,
) -> None:
    """Make an avatar of a video: find the face, follow it, cut it out, keep it all on the volume."""
    from app.avatars.builder import AvatarRequest
    from app.avatars.manifest import check_avatar_id
    from app.media.probe import VideoLimits, probe_video

    settings = _settings(model=model, device=device, avatars_dir=avatars_dir)
    request = AvatarRequest(
        id=check_avatar_id(avatar_id or _id_from(video)),
        video=video,
        filename=video.name,
        options=options,
    )
    probe_video(video, VideoLimits(settings.max_video_seconds, settings.max_pixels))
    workshop = _open_workshop(settings)
    with _progress("Following the face") as report:
        manifest = workshop.builder.build(request, report)
    out.print(
        f"Avatar [bold]{manifest.id}[/]: {manifest.width}x{manifest.height}, {float(manifest.fps):.6g} fps, "
        f"{manifest.frame_count} frames, {manifest.face_frames} of them with a face."
    )
    _print_warnings(manifest.warnings)


@avatars.command("list")
def avatar_list(avatars_dir: AvatarsDirOption = None) -> None:
    """List the avatars, oldest first."""
    from app.avatars.store import AvatarStore

    table = Table("id", "size", "fps", "frames", "with face", "seconds", "made", box=None)
    for manifest in AvatarStore(_settings(avatars_dir=avatars_dir).avatars_dir).list():
        table.add_row(
            manifest.id,
            f"{manifest.width}x{manifest.height}",
            f"{float(manifest.fps):.6g}",
            str(manifest.frame_count),
            str(manifest.face_frames),
            f"{manifest.duration:.2f}",
            manifest.created_at.isoformat(timespec="seconds"),
        )
    out.print(table)


@avatars.command("rm")
def avatar_rm(avatar_id: str, avatars_dir: AvatarsDirOption = None) -> None:
    """Remove an avatar."""
    from app.avatars.store import AvatarStore

    AvatarStore(_settings(avatars_dir=avatars_dir).avatars_dir).delete(avatar_id)


@app.command()
@with_options(RenderOptions)
def render(
    avatar_id: Annotated[str, typer.Argument(metavar="AVATAR", help="The id of an avatar.")],
    audio: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What it shall say.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The MP4 to write.")] = Path("out.mp4"),
    model: ModelOption = None,
    device: DeviceOption = None,
    avatars_dir: AvatarsDirOption = None,
    *,
    options: Any,
) -> None:
    """Render an MP4 in which the avatar's mouth follows the sound."""
    from app.avatars.store import AvatarStore
    from app.media.files import move
    from app.media.probe import AudioLimits, probe_audio
    from app.rendering.renderer import RenderRequest
    from app.rendering.workspace import Workspace

    settings = _settings(model=model, device=device, avatars_dir=avatars_dir)
    request = RenderRequest(
        avatar_id=avatar_id,
        audio=audio,
        options=options,
    )
    AvatarStore(settings.avatars_dir).path(avatar_id)
    probe_audio(audio, AudioLimits(settings.max_audio_seconds))
    workshop = _open_workshop(settings)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mouthpiece-", dir=output.parent) as folder:
        workspace = Workspace(Path(folder))
        with _progress("Rendering") as report:
            done = workshop.renderer.render(request, workspace, report)
        move(workspace.result, output)
    out.print(
        f"{output}: {done.frame_count} frames, {done.duration:.2f} s, rendered in {done.wall_seconds:.2f} s "
        f"({done.duration / done.wall_seconds:.2f}x real time)."
    )
    _print_warnings(done.warnings)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The MP4 to write.")] = Path("demo.mp4"),
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Make an avatar of the clip that ships and render the speech that ships, without a server."""
    clip, words = bundled("demo") / "portrait.mp4", bundled("demo") / "speech.wav"
    with tempfile.TemporaryDirectory(prefix="mouthpiece-") as folder:
        avatar_add(clip, "demo", model=model, device=device, avatars_dir=Path(folder))
        render("demo", words, output, model=model, device=device, avatars_dir=Path(folder))


@app.command()
def export(
    checkpoint: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A Wav2Lip .pth checkpoint.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The .onnx to write. Default: beside the checkpoint."),
    ] = None,
    dtype: Annotated[Literal["fp32", "fp16"], typer.Option(help="Precision of the stored weights.")] = "fp32",
) -> None:
    """Convert a checkpoint to ONNX, compared with the checkpoint before it is kept.

    Needs torch, onnx and onnxscript (the extra 'export').
    """
    from app.wav2lip.export import export as convert

    target = output or checkpoint.with_suffix(".onnx" if dtype == "fp32" else ".fp16.onnx")
    with err.status("Converting and comparing"):
        report = convert(checkpoint, target, dtype)
    out.print(
        f"{target}: {target.stat().st_size / 1e6:.1f} MB; differs from {checkpoint.name} by "
        f"{report.largest_difference:.1e} at most ({report.psnr:.0f} dB)."
    )


@app.command()
def bench(
    model: ModelOption = None,
    device: DeviceOption = None,
    video: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A video to render over. [the demo's]")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What it shall say. [the demo's]")
    ] = None,
) -> None:
    """Say how fast the model and a whole render are here, and how near to fp32 the model's precision is."""
    from app.bench import bench as measure

    clip, words = video or bundled("demo") / "portrait.mp4", audio or bundled("demo") / "speech.wav"
    table = Table("part", "what", "value", "", box=None)
    with err.status("Measuring"):
        settings = _settings(model=model, device=device)
        for line in measure(settings, clip, words):
            table.add_row(line.part, line.name, f"{line.value:.4g} {line.unit}", line.note)
    out.print(table)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what was found on this machine and what is missing, with the command that mends it.

    Ends with 1 if the service cannot work as configured.
    """
    from app.doctor import examine

    findings = examine(_settings())
    if as_json:
        out.print_json(data=[finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            out.print(f"{finding.mark} [bold]{finding.subject}[/]:", escape(finding.found), soft_wrap=True)
            if finding.remedy:  # on a line of its own, which no terminal cuts: it is to be copied
                out.print(f"        to mend it: {escape(finding.remedy)}", soft_wrap=True)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; an error of ours becomes one line and exit status 1."""
    try:
        app()
    except MouthpieceError as error:
        err.print(f"[bold red]{error.title}:[/] {error.detail}", highlight=False)
        sys.exit(1)
    except OSError as error:
        err.print(f"[bold red]System error:[/] {error}", highlight=False)
        sys.exit(1)


def _print_warnings(warnings: list[Notice]) -> None:
    for warning in warnings:
        err.print(f"[bold yellow]{warning['code']}:[/] {escape(warning['detail'])}", highlight=False)


def _settings(**given: Any) -> Settings:
    """Return the settings of the environment with the options that were given."""
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _open_workshop(settings: Settings) -> "Workshop":
    with err.status("Loading the model"):
        from app.workshop import Workshop

        return Workshop.open(settings)


@contextmanager
def _progress(label: str) -> Iterator[Any]:
    """Show a progress bar on a terminal; give the function that moves it."""
    columns = TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _id_from(video: Path) -> str:
    """Make an avatar id of a file's name."""
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in video.stem.lower())
    return name.strip("-")[:63] or f"avatar-{secrets.token_hex(4)}"


if __name__ == "__main__":
    main()
