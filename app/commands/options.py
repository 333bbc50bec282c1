"""Options of a request as options of a command, with the names, defaults and help of the form."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from app.options import help_of, read


def with_options(**wanted: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of the classes of options that its parameters are.

    The command is called with what is read of them.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters.values()
        added = [
            _parameter(options, field.name, field.default)
            for options in wanted.values()
            for field in fields(options)
        ]
        every = [parameter for parameter in own if parameter.name not in wanted] + added

        @wraps(command)
        def run(**given: Any) -> None:
            chosen = {
                name: read(options, {f.name: given.pop(f.name) for f in fields(options) if f.name in given})
                for name, options in wanted.items()
            }
            command(**given, **chosen)

        run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
        return run

    return decorate


def _parameter(options: type[Any], name: str, default: Any) -> inspect.Parameter:
    kind = get_type_hints(options)[name]
    if kind == Fraction | None:  # a shell has text; the form reads it
        kind = str | None
    option = typer.Option(help=help_of(options)[name].replace("`", ""))
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )
