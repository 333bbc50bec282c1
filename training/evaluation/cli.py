"""The command ``python -m training evaluate``."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.progress import Progress

from training.console import out


def evaluate(
    model: Annotated[Path, typer.Argument(exists=True, help="The model, .onnx or .pth.")],
    clips: Annotated[
        list[Path],
        typer.Argument(exists=True, help="Videos of people who talk, with sound, or folders of them."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for renders, sheets and JSON.")],
    sounds: Annotated[
        bool, typer.Option(help="Try silence, noise, hum, music and quieter words as well.")
    ] = True,
) -> None:
    """Evaluate a model in the service on new people: each half of a clip says the other half's words.

    Look at the sheets and strips first: each render stands above the truth.
    """
    from training.evaluation.judge import judge
    from training.evaluation.report import as_table, write_json
    from training.evaluation.service import Service
    from training.videos import list_videos

    videos = list_videos(clips)
    with TemporaryDirectory() as folder, Progress(transient=True) as bar:
        task = bar.add_task("Judging", total=len(videos))
        verdict = judge(
            Service(model, Path(folder)),
            videos,
            output,
            sounds=sounds,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for name, why in verdict.left_out.items():
        out.print(f"Left out {name}: {why}")
    write_json(output / f"{model.stem}.scores.json", verdict)
    out.print(as_table(verdict))
    out.print(f"Look first at the sheets and strips in {output}, such as {verdict.rows[0].sheet.name}.")
