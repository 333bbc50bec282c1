"""The command ``python -m training hidden``."""

from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.progress import Progress

from training.console import out
from training.recipe import RECIPE
from training.settings import load_settings

_CHECKED: Final = 16
"""Scenes by which the written file is checked."""


def hidden(
    videos: Annotated[
        list[Path], typer.Argument(exists=True, help="Videos of people who talk, or folders of them.")
    ],
    runs: Annotated[
        Path, typer.Option(help="Folder of runs: checkpoint, journal, the faces that were cut out.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    pack: Annotated[
        Path | None, typer.Option(help="A pack: more people, smaller.", exists=True, file_okay=False)
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Go on from this .onnx file.", exists=True, dir_okay=False)
    ] = None,
    recipe: Annotated[Path, typer.Option(help="YAML file of settings, with a section 'hidden'.")] = RECIPE,
) -> None:
    """Train the network that marks what covers a mouth, judge it on people held out, write it.

    Videos that are named like somebody whom the recipe holds out of everything are passed over.

    Stopped, it goes on from its last checkpoint.
    """
    from app.faces.hidden import HiddenFinder
    from training.hidden.export import export_hidden
    from training.hidden.faces import taught_footage
    from training.hidden.judge import as_text, judge_hidden
    from training.hidden.packed import pack_footage
    from training.hidden.scenes import SceneMaker
    from training.hidden.settings import load_hidden_settings
    from training.hidden.train import check_start, split_people, train_hidden

    settings, held_out = load_hidden_settings(recipe), load_settings(recipe, "expert").held_out
    if start:
        check_start(start, runs)
    with Progress(transient=True) as bar:
        reading = bar.add_task("Following faces")
        footage = taught_footage(
            videos, runs, held_out, lambda done, total: bar.update(reading, completed=done, total=total)
        )
        packed = pack_footage(pack, runs, held_out, settings.packed_frames) if pack else []
        people = split_people(footage, packed, settings)
        training = bar.add_task("Training")
        network = train_hidden(
            people,
            settings,
            runs,
            lambda done, total: bar.update(training, completed=done, total=total),
            start=start,
        )
    maker, rng = SceneMaker(people.filmed, people.packed, settings), np.random.default_rng(settings.seed)
    difference = export_hidden(network, output, [maker.draw(rng) for _ in range(_CHECKED)])
    out.print(
        f"{output}: {output.stat().st_size / 1e6:.2f} MB, differs from torch by at most {difference} of 255."
    )
    if people.held_out:
        out.print(as_text(judge_hidden(HiddenFinder(output), people.held_out, settings)))
