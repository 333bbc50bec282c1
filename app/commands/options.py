"""Options of a request as options of a command, with the names, defaults and help of the form."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import typer

from app.options import form_of, help_of, read


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
    described = form_of(options).model_json_schema()["properties"][name]
    if kind is not str and get_origin(kind) is not Literal and _is_text(described):
        kind = str | None  # a shell has text; the form reads it
        default = default and described["default"]
    option = typer.Option(help=help_of(options)[name].replace("`", ""))
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def _is_text(described: Mapping[str, Any]) -> bool:
    """Whether a form takes a text for an option."""
    return any(each.get("type") == "string" for each in described.get("anyOf", [described]))
