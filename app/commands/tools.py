"""Commands about models and this machine: convert, measure, look for what is missing."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from app.bundled import bundled
from app.commands.console import DeviceOption, ModelOption, err, out, print_table, settings_of


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
    """Measure the speed of the model and of renders, and its precision."""
    from app.bench import bench as measure

    clip, words = video or bundled("demo") / "portrait.mp4", audio or bundled("demo") / "speech.wav"
    table = Table("part", "what", "value", "", box=None)
    with err.status("Measuring"):
        settings = settings_of(model=model, device=device)
        for line in measure(settings, clip, words):
            table.add_row(line.part, line.name, f"{line.value:.4g} {line.unit}", line.note)
    print_table(table)


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
