"""Options of a request, declared once: a frozen dataclass whose fields carry type, limits and help.

The API's form, the command line's options, the job record and the work itself are all derived from it. To
add an option, add a field; older records without it get the default. A static method ``check_together``,
called with all values, may raise ValueError for combinations that make no sense.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator
from pydantic.fields import FieldInfo

from app.errors import InvalidRequest

Options = TypeVar("Options")


class Form(BaseModel):
    """What every form has in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def form_of(*options: Any, **more: Any) -> Any:
    """Return the pydantic model of options, with ``more`` fields, as ``create_model`` takes them."""
    if not more and options in _forms:
        return _forms[options]
    every: dict[str, Any] = dict(more)
    validators: dict[str, Any] = {}
    for each in options:
        hints = get_type_hints(each, include_extras=True)
        every |= {field.name: (hints[field.name], field.default) for field in fields(each)}
        if together := getattr(each, "check_together", None):
            validators[f"check_{each.__name__}"] = model_validator(mode="after")(_checking(together))
    form = create_model(
        "".join(each.__name__ for each in options),
        __base__=Form,
        __doc__=" ".join(each.__doc__ for each in options),
        __validators__=validators,
        **every,
    )
    if not more:
        _forms[options] = form
    return form


_forms: Final[dict[Any, Any]] = {}
"""The forms that were made."""


def _checking(together: Callable[[Any], None]) -> Callable[[Any], Any]:
    def check_together(form: Any) -> Any:
        together(form)
        return form

    return check_together


def read(options: type[Options], values: Mapping[str, Any]) -> Options:
    """Return the options that values of a form or a record are; others are left out, defaults filled in.

    Raises ``InvalidRequest``.
    """
    form = form_of(options)
    known = {name: values[name] for name in form.model_fields if name in values}
    return options(**dict(_valid(form, known)))


def check(options: Any) -> None:
    """Raise ``InvalidRequest`` unless options are within their limits. For ``__post_init__``."""
    _valid(form_of(type(options)), asdict(options))


def plain(options: Any) -> dict[str, Any]:
    """Return options as JSON has them; :func:`read` makes them again."""
    values: dict[str, Any] = _valid(form_of(type(options)), asdict(options)).model_dump(mode="json")
    return values


def help_of(options: type[Any]) -> Mapping[str, str]:
    """Return the help of each option."""
    described: Mapping[str, FieldInfo] = form_of(options).model_fields
    return {name: field.description or "" for name, field in described.items()}


def _valid(form: Any, values: Mapping[str, Any]) -> Any:
    try:
        return form.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["loc"]:
            message = f"{first['loc'][0]}: {message[:1].lower()}{message[1:]}"
        raise InvalidRequest(f"{message}.") from error
