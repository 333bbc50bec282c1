"""The command line: avatars and renders without a server, and the commands that run one."""

import sys
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape

from app import __version__
from app.commands.avatars import avatars, check
from app.commands.console import err, out
from app.commands.serving import head, serve, worker
from app.commands.speaking import demo, dub, render
from app.commands.tools import bench, doctor, export
from app.errors import MouthpieceError
from app.settings import Settings
from app.volume import is_misplaced, lasting_meaning

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Make a filmed person say new words.\n\n"
    "  mouthpiece dub me.mp4 words.wav -o out.mp4\n\n"
    "Or make an avatar once, and render any audio with it:\n\n"
    "  mouthpiece avatar add me.mp4 --id me\n\n  mouthpiece render me words.wav -o out.mp4\n\n"
    "Or run the HTTP service: mouthpiece serve. Settings are MOUTHPIECE_* environment variables; options "
    "override them.",
)
for command in (dub, render, check, demo, serve, worker, head, export, bench, doctor):
    app.command()(command)
app.add_typer(avatars, name="avatar")


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"mouthpiece {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


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
        meant = lasting_meaning(error) if is_misplaced(error) else None
        title, said = (meant.title, meant.detail) if meant else ("System error", str(error))
        err.print(f"[bold red]{title}:[/] {escape(said)}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
