"""What commands share: streams, options, settings, the model, progress and warnings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.notices import Notice
from app.settings import Settings

if TYPE_CHECKING:
    from app.workshop import Workshop

out = Console()
err = Console(stderr=True)

_WHOLE_LINES: Final = 10_000
"""Characters that no line of a table has."""

ModelOption = Annotated[
    Path | None, typer.Option("--model", help="The model, .pth or .onnx. Default: the bundled model.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu, cuda or cuda:N; for a service also several: cuda:0,cuda:2."),
]
AvatarArgument = Annotated[str, typer.Argument(metavar="avatar", help="The id of an avatar.")]
AvatarsDirOption = Annotated[
    Path | None, typer.Option("--avatars-dir", help="Folder that holds the avatars.")
]

BackdropOption = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="A picture behind transparent footage, scaled to fill the frame."
    ),
]


def print_warnings(warnings: list[Notice]) -> None:
    """Print warnings, one a line, to standard error."""
    for warning in warnings:
        err.print(f"[bold yellow]{warning['code']}:[/] {escape(warning['detail'])}", highlight=False)


def print_table(table: Table) -> None:
    """Print a table: fitted to a terminal, otherwise in whole lines, for other programs to read."""
    console = out if out.is_terminal else Console(width=_WHOLE_LINES)
    console.print(table)


def settings_of(**given: Any) -> Settings:
    """Return the settings of the environment with the options that were given."""
    return Settings(**{name: value for name, value in given.items() if value is not None})


def open_workshop(settings: Settings) -> "Workshop":
    """Load the model."""
    with err.status("Loading the model"):
        from app.workshop import Workshop

        return Workshop.open(settings)


@contextmanager
def progress(label: str) -> Iterator[Any]:
    """Show a progress bar on a terminal; give the function that moves it."""
    columns = TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
