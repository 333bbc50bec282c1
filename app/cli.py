"""The command line: the service's jobs from a shell, with no server in between."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from app.bundled import bundled
from app.commands.avatars import avatars
from app.commands.console import AvatarsDirOption, DeviceOption, ModelOption, err, out, settings_of
from app.commands.speaking import demo, dub, render
from app.errors import MouthpieceError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make a filmed person say new words.\n\n"
    "  mouthpiece dub me.mp4 words.wav -o out.mp4\n\n"
    "Or make an avatar of a video once, and render any sound with it:\n\n"
    "  mouthpiece avatar add me.mp4 --id me\n\n  mouthpiece render me words.wav -o out.mp4\n\n"
    "Or start the HTTP service with 'mouthpiece serve' and do the same by POST. Settings are environment "
    "variables that begin with MOUTHPIECE_; options given here override them.",
)
for command in (dub, render, demo):
    app.command()(command)
app.add_typer(avatars, name="avatar")


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
        settings_of(
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

    join(settings_of(device=device, workers=workers))


@app.command()
def head() -> None:
    """Begin a Ray cluster on this machine, as 'ray start --head' does; then start the service beside it.

    Listens on the port of MOUTHPIECE_RAY_ADDRESS; needs RAY_AUTH_TOKEN. Returns when the head runs.
    """
    from app.workers.join import start_head

    start_head(settings_of())


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
        settings = settings_of(model=model, device=device)
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

    findings = examine(settings_of())
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


if __name__ == "__main__":
    main()
