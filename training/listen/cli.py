"""The commands of the stage ``listen``: ``python -m training listen encoder | train | export | judge``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.console import err, out
from training.recipe import RECIPE

app = typer.Typer(no_args_is_help=True, help="The ear: teach it, export it, judge it.")

PackOption = Annotated[Path, typer.Option(help="Folder of the pack.", exists=True, file_okay=False)]
RunsOption = Annotated[Path, typer.Option(help="Folder of runs: the heads, the decoded pack.")]
RecipeOption = Annotated[Path, typer.Option(help="YAML file of settings; its section 'listen' counts.")]
EncoderOption = Annotated[Path, typer.Option(help="Whisper tiny.en's encoder, an .npz of its weights.")]


@app.command()
def encoder(
    checkpoint: Annotated[Path, typer.Argument(help="OpenAI's tiny.en.pt.")],
    output: Annotated[Path, typer.Argument(help="The .npz to write.")],
) -> None:
    """Write the encoder of a checkpoint of Whisper, as the other commands take it."""
    from training.networks.openai_whisper import convert_encoder

    convert_encoder(checkpoint, output)
    out.print(f"The encoder is {output}.")


@app.command()
def train(
    pack: PackOption,
    runs: RunsOption,
    encoder: EncoderOption,
    videos: Annotated[
        Path | None,
        typer.Option(help="Folder of more videos of people who talk.", exists=True, file_okay=False),
    ] = None,
    quiet: Annotated[
        Path | None,
        typer.Option(
            help="Folder of sounds in which nobody speaks: music, noise.", exists=True, file_okay=False
        ),
    ] = None,
    videos_licence: Annotated[
        str, typer.Option(help="Rights in the videos, as the card is to state them.")
    ] = "unknown",
    quiet_licence: Annotated[
        str, typer.Option(help="Rights in those sounds, as the card is to state them.")
    ] = "unknown",
    recipe: RecipeOption = RECIPE,
) -> None:
    """Teach the heads; about half an hour on one core. Features of sounds are kept for the next time."""
    from training.listen.settings import load_listen_settings
    from training.listen.stage import Sources, quiet_recordings, save_taught, train_listen, training_talks
    from training.networks.whisper import load_encoder

    settings = load_listen_settings(recipe)
    whisper = load_encoder(encoder, settings.layers)
    with _progress() as report:
        talks = training_talks(pack, runs, videos, settings, report, licence=videos_licence)
        sources = Sources(talks, quiet_recordings(quiet), whisper, quiet_licence)
        taught = train_listen(sources, settings, runs, report)
    out.print(f"{len(taught.heads)} heads are taught; see {save_taught(taught, runs)}.")


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="The .onnx file to write; its card goes beside it.")],
    runs: RunsOption,
    encoder: EncoderOption,
    recipe: RecipeOption = RECIPE,
) -> None:
    """Write the ear as one file, checked on OpenVINO, and its card."""
    from training.card import write_card
    from training.listen.export import export_listen
    from training.listen.settings import load_listen_settings
    from training.listen.stage import load_taught
    from training.networks.whisper import load_encoder

    settings = load_listen_settings(recipe)
    taught = load_taught(settings, runs)
    result = export_listen(taught, load_encoder(encoder, settings.layers), settings, output)
    write_card(output, encoder, recipe=recipe, settings=settings, data=taught.data)
    out.print(f"OpenVINO differs from torch by at most {result.difference:.2g}.")
    out.print(f"{output}: {output.stat().st_size / 1e6:.1f} MB, sha256 {result.sha256}.")


@app.command()
def judge(
    model: Annotated[Path, typer.Argument(exists=True, help="The ear, .onnx.")],
    runs: RunsOption,
    pack: Annotated[
        Path | None,
        typer.Option(help="Pack whose held-out people are judged.", exists=True, file_okay=False),
    ] = None,
    videos: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of videos of people who talk; may be given twice.", exists=True, file_okay=False
        ),
    ] = None,
    recipe: RecipeOption = RECIPE,
) -> None:
    """Return how the heard opening follows the seen one, on people the ear was not taught with."""
    from app.mouths.ear import Ear
    from training.listen.judge import as_table, judged, judged_talks, none_held_out
    from training.listen.settings import load_listen_settings

    settings = load_listen_settings(recipe)
    for folder in none_held_out(videos or [], settings):
        err.print(
            f"The recipe holds out nobody in {folder}: if the ear was taught with these videos, their "
            "figures are too good."
        )
    with _progress() as report:
        talks = judged_talks(pack, videos or [], runs, settings, report)
        scores = judged(Ear(model), talks, settings, lambda done, of: report("Listening", done, of))
    out.print(as_table(scores))


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield report
