"""The command line: avatars and renders without a server, and the commands that run one."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from app.bundled import bundled
from app.commands.avatars import avatars, check
from app.commands.console import AvatarsDirOption, DeviceOption, ModelOption, err, out, settings_of
from app.commands.speaking import demo, dub, render
from app.errors import MouthpieceError
from app.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make a filmed person say new words.\n\n"
    "  mouthpiece dub me.mp4 words.wav -o out.mp4\n\n"
    "Or make an avatar once, and render any audio with it:\n\n"
    "  mouthpiece avatar add me.mp4 --id me\n\n  mouthpiece render me words.wav -o out.mp4\n\n"
    "Or run the HTTP service: mouthpiece serve. Settings are MOUTHPIECE_* environment variables; options "
    "override them.",
)
for command in (dub, render, check, demo):
    app.command()(command)
app.add_typer(avatars, name="avatar")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one. [8000]")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    avatars_dir: AvatarsDirOption = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for jobs, uploads and results.")] = None,
) -> None:
    """Run the HTTP service. Its documentation is at /docs.

    /readyz reports when the model is loaded and warm. Ctrl-C stops the service; queued and running jobs
    continue after the next start.
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
        int | None, typer.Option(min=1, help="Workers where the CPU computes; each GPU has one. [1]")
    ] = None,
) -> None:
    """Add this machine to a Ray cluster, like 'ray start', until it is told to stop.

    Needs the extra 'cluster', MOUTHPIECE_RAY_ADDRESS, the head's RAY_AUTH_TOKEN, and the service's avatars
    and data folders. SIGTERM stops it; other machines take over its work.
    """
    from app.workers.join import join

    join(settings_of(device=device, workers=workers))


@app.command()
def head() -> None:
    """Run the head of a Ray cluster on this machine, like 'ray start --head --block'.

    Listens on the port of MOUTHPIECE_RAY_ADDRESS; needs RAY_AUTH_TOKEN. Ends when one of Ray's processes
    does: have it started again then. The service, 'mouthpiece serve', runs beside it.
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
        typer.Option("--output", "-o", help="The .onnx to write. Default: beside the checkpoint"),
    ] = None,
    dtype: Annotated[Literal["fp32", "fp16"], typer.Option(help="Precision of the stored weights.")] = "fp32",
) -> None:
    """Convert a checkpoint to ONNX and check the result against it.

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
        Path | None, typer.Option(exists=True, dir_okay=False, help="The video to use. [the demo's]")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What to say. [the demo's]")
    ] = None,
) -> None:
    """Measure the speed of the model and of whole renders, and the model's precision against fp32."""
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
    """Report what this machine has, what is missing, and how to fix it.

    Exits with 1 if the service cannot work as configured.
    """
    from app.doctor import examine

    findings = examine(settings_of())
    if as_json:
        out.print_json(data=[finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            out.print(f"{finding.mark} [bold]{finding.subject}[/]:", escape(finding.found), soft_wrap=True)
            if finding.remedy:  # on a line of its own, so that it can be copied
                out.print(f"        fix: {escape(finding.remedy)}", soft_wrap=True)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; errors become one line and exit status 1."""
    try:
        app()
    except MouthpieceError as error:
        err.print(f"[bold red]{error.title}:[/] {escape(error.detail)}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        for wrong in error.errors():
            name, said = str(wrong["loc"][0]).upper(), wrong["msg"].removeprefix("Value error, ")
            text = f"[bold red]MOUTHPIECE_{name}:[/] {escape(said)}"
            err.print(text, highlight=False, soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        err.print(f"[bold red]System error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
