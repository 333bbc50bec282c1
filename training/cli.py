"""The commands of training: ``python -m training prepare | train | listen | hidden | lips | evaluate``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.errors import InvalidRequest, MouthpieceError
from app.extras import install_command
from training.console import err, out
from training.evaluation.cli import evaluate
from training.hidden.cli import hidden
from training.lips.cli import lips
from training.listen.cli import app as listen_app
from training.recipe import RECIPE
from training.settings import StageName

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train lip-sync models: make a pack of talking videos, train on it, judge, export.",
)
app.command()(hidden)
app.command()(lips)
app.command()(evaluate)
app.add_typer(listen_app, name="listen")

Report = Callable[[int, int], None]
PackOption = Annotated[Path, typer.Option(help="Folder of the pack.", exists=True, file_okay=False)]
RunsOption = Annotated[Path, typer.Option(help="Folder of runs: checkpoints, journals, the decoded pack.")]
RecipeOption = Annotated[Path, typer.Option(help="YAML file of settings.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


@app.command()
def prepare(
    videos: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of talking videos.")],
    pack: Annotated[Path, typer.Argument(help="Folder of the pack to make, or to go on with.")],
    licence: Annotated[str, typer.Option(help="Rights in the videos, as they are to be stated.")] = "unknown",
) -> None:
    """Make a pack: track the face in every video, crop it, and measure the delay of the audio.

    The videos of a speaker lie in a subfolder of their name. A run that was stopped resumes.
    """
    from training.prepare import prepare_pack

    with _progress("Preparing videos") as report:
        outcome = prepare_pack(videos, pack, licence=licence, progress=report)
    for name, why in outcome.left_out.items():
        err.print(f"Left out {name}: {why}")
    for clip in outcome.unsynced:
        err.print(f"No evidence of sync in {clip}: used for pictures, not for speech.")
    out.print(f"{outcome.clips} clips, {outcome.seconds:.0f} s, {outcome.speakers} speakers in {pack}.")


@app.command()
def train(
    stage: Annotated[str, typer.Argument(help="expert or wav2lip.")],
    pack: PackOption,
    runs: RunsOption,
    recipe: RecipeOption = RECIPE,
    device: DeviceOption = "auto",
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            exists=True,
            help="A Wav2Lip checkpoint to fine-tune (wav2lip).",
        ),
    ] = None,
) -> None:
    """Train one stage; a stage that was stopped resumes from its last checkpoint."""
    from training.workbench import Workbench

    name = _stage(stage)
    with _progress("Decoding the pack") as report:
        bench = Workbench(pack, runs, device, report)
        run = bench.run(name, recipe, start)
        left_out = bench.cache.left_out
    for clip, why in left_out.items():
        err.print(f"Left out {clip}: {why}")
    source, shown = bench.batches(run.stage.settings)
    with _progress(f"Training {name}") as report:
        run.train(source, shown, report)
    out.print(f"{run.step} steps are done; see {run.folder}.")
    if name == "wav2lip":
        out.print(f"The checkpoint in the official layout is {run.folder / 'wav2lip.pth'}.")


def main() -> None:
    """Run the command line; an expected error prints one sentence to stderr and exits with 1."""
    try:
        app()
    except MouthpieceError as error:
        err.print(error.detail, style="red")
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(("app.", "training.")):
            raise
        command = install_command("mouthpiece[train]")
        err.print(f"This needs {error.name}, of the extra 'train': run `{command}`.", style="red")
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        err.print(f"{error.filename}: {error.strerror}.", style="red")
        sys.exit(1)


def _stage(name: str) -> StageName:
    for known in get_args(StageName):
        if name == known:
            stage: StageName = known
            return stage
    raise InvalidRequest(f"The stage is one of {', '.join(get_args(StageName))}; {name!r} was given.")


@contextmanager
def _progress(what: str) -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report
