"""The command ``python -m training lips``."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from training.console import out
from training.recipe import RECIPE
from training.settings import load_settings

_COMPARED = 20
"""Mouths of each person who is taught, about, in which the file is compared with what was trained."""


def lips(
    videos: Annotated[
        list[Path], typer.Argument(exists=True, help="Videos of people who talk, or folders of them.")
    ],
    runs: Annotated[Path, typer.Option(help="Folder of runs: the journal, the faces that were cut out.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    pack: Annotated[
        Path | None, typer.Option(help="A pack: more people, smaller.", exists=True, file_okay=False)
    ] = None,
    recipe: Annotated[
        Path, typer.Option(help="YAML file of settings, with sections 'lips' and 'hidden'.")
    ] = RECIPE,
) -> None:
    """Train the network that sees how far lips part, write it, judge it on people held out.

    The section 'hidden' says who is held out, and in which frames something is before the face. Videos that
    are named like somebody whom the recipe holds out of everything are passed over.
    """
    from app.mouths.lips_apart import LipsApart
    from training.hidden.faces import taught_footage
    from training.hidden.packed import pack_footage
    from training.hidden.settings import load_hidden_settings
    from training.hidden.train import split_people
    from training.lips.samples import mouths_of
    from training.lips.settings import load_lips_settings
    from training.lips.train import correlations, export_lips, train_lips

    settings, shared = load_lips_settings(recipe), load_hidden_settings(recipe)
    held_out = load_settings(recipe, "expert").held_out
    with Progress(transient=True) as bar:
        reading = bar.add_task("Following faces")
        footage = taught_footage(
            videos, runs, held_out, lambda done, total: bar.update(reading, completed=done, total=total)
        )
        packed = pack_footage(pack, runs, held_out, settings.packed_frames) if pack else []
        people = split_people(footage, packed, shared)
        training = bar.add_task("Training")
        taught = [*people.filmed, *people.packed]
        network = train_lips(
            taught, settings, runs, lambda done, total: bar.update(training, completed=done, total=total)
        )
    some = np.concatenate([mouths_of(person)[:: max(1, len(person.faces) // _COMPARED)] for person in taught])
    difference = export_lips(network, output, some)
    out.print(
        f"{output}: {output.stat().st_size / 1e6:.2f} MB, differs from torch by {difference:.2f} percent."
    )
    follows = correlations(LipsApart(output), people.held_out)
    if follows:
        out.print(
            f"People held out: follows their meshes by {np.nanmedian(list(follows.values())):.2f} (median; "
            + ", ".join(f"{name} {value:.2f}" for name, value in follows.items())
            + ")."
        )
