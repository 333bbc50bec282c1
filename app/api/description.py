"""What the framework cannot see of the API, as OpenAPI describes it: uploads, files, early problems."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.utils import generate_unique_id
from pydantic import BaseModel

from app.api import idempotency
from app.api.bodies import RAW_KINDS, RAW_TYPES
from app.api.forms import TEXT, FileField
from app.api.problems import PROBLEM, Responses, add_problem
from app.errors import ForeignOrigin, ShuttingDown, TooBusy, UnknownHost

BYTES: Final[Mapping[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
"""Content that is a file."""
JOB_HEADER: Final = {"Content-Location": {"description": "The job's path.", "schema": {"type": "string"}}}
_FILE_HEADERS: Final = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in (
        ("ETag", "The tag of these bytes, which never change."),
        ("Last-Modified", "When they were written."),
        ("Accept-Ranges", "`bytes`."),
    )
}
_RANGE_HEADER: Final = {
    "Content-Range": {"description": "Which bytes of how many.", "schema": {"type": "string"}}
}

_EMPTY: Final = {"examples": [""]}
"""Of a field that may be left out: with no example, the form at ``/docs`` sends one that it makes up."""
_FILE: Final = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_EVERYWHERE: Final = (UnknownHost, TooBusy, ShuttingDown)
"""What any request may be answered with, whatever it asks for."""
_NEVER: Final = ("HTTPValidationError", "ValidationError")


def accepted(model: type[BaseModel]) -> Responses:
    """Return the answer to a request with ``Prefer: respond-async``."""
    headers = {
        "Location": {"description": "The job's path.", "schema": {"type": "string"}},
        "Preference-Applied": {"description": "`respond-async`.", "schema": {"type": "string"}},
    }
    described = "With `Prefer: respond-async`: the job."
    return {202: {"model": model, "description": described, "headers": headers | JOB_HEADER}}


def sent_file(described: str, content: Mapping[str, Any], model: Any = None) -> Responses:
    """Return the answers of an address of a file that can be asked for in ranges, by its types of media.

    ``model`` is what is in it if it is JSON.
    """
    whole = {"model": model} if model else {"content": content}
    return {
        200: {**whole, "description": described, "headers": _FILE_HEADERS},
        206: {
            "content": content,
            "description": "The range of it that was asked for.",
            "headers": _FILE_HEADERS | _RANGE_HEADER,
        },
        304: {"description": "The client has it.", "headers": _FILE_HEADERS},
        412: {
            "description": "It is not the file that the conditions ask for (`about:blank`).",
            "content": PROBLEM,
        },
        416: {
            "description": "The range lies beyond the end (`about:blank`).",
            "content": PROBLEM,
            "headers": _RANGE_HEADER,
        },
    }


def upload(files: Sequence[FileField], parameters: type[BaseModel]) -> dict[str, Any]:
    """Return the headers and the body of a call that takes ``files`` and ``parameters``."""
    schema = parameters.model_json_schema()
    fields = {name: _without_null(field) for name, field in schema["properties"].items()}
    addresses = {file.address: _address(file) for file in files}
    uploaded = {file.name: _file(file, fields) for file in files}
    either = [_names(file) for file in files if file.required or file.instead]
    unsent = [[name for name in names if name not in uploaded] for names in either]
    form = _object(schema, uploaded | addresses | fields | uploaded, either)
    plain = _object(schema, addresses | fields, unsent)
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": plain, "example": _example(files)},
        "application/x-www-form-urlencoded": {"schema": plain},
    }
    alone = _FILE | {"description": f"{files[0].description} Parameters go into the query."}
    content |= {kind: {"schema": alone} for kind in (*(f"{kind}*" for kind in RAW_KINDS), *RAW_TYPES)}
    headers = {
        "Prefer": "`respond-async`: respond at once with the job instead of its result.",
        idempotency.HEADER: idempotency.DESCRIPTION,
    }
    return {
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        ],
        "requestBody": {"required": True, "content": content},
    }


def operation_id(route: APIRoute) -> str:
    """Return the name of a call in clients that are generated: short, but where an adapter has several."""
    adapted = any(str(tag).startswith("compat") for tag in route.tags)
    return generate_unique_id(route) if adapted else route.name


def complete(app: FastAPI) -> None:
    """Have ``/openapi.json`` say of every call what is answered before any route is reached.

    The framework's own form of a refusal is taken out: no call has it. What a call does is its summary.
    """
    routes = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = routes()
        for name in _NEVER:
            document["components"]["schemas"].pop(name, None)
        for calls in document["paths"].values():
            for method, call in calls.items():
                summary, _, call["description"] = call["description"].partition("\n\n")
                call["summary"] = " ".join(summary.split()).removesuffix(".")
                if _NEVER[0] in str(call["responses"].get("422")):
                    del call["responses"]["422"]
                for error in _EVERYWHERE if method in ("get", "head") else (*_EVERYWHERE, ForeignOrigin):
                    add_problem(call["responses"].setdefault(str(error.status), {}), error)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _object(
    schema: dict[str, Any], properties: dict[str, Any], either: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Return the schema of a body of which each of the lists names fields that one is required of."""
    needed = [{"oneOf": [{"required": [name]} for name in names]} for names in either]
    return schema | {"properties": properties, "allOf": needed}


def _names(file: FileField) -> list[str]:
    """Return the names by which a file may come, or what stands for it."""
    return [name for name in (file.name, file.address, TEXT if file.or_text else "", file.instead) if name]


def _file(file: FileField, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a file in a form; one of which the name is that of a field, too, may be either."""
    field = fields.get(file.name)
    if field is None:
        return _FILE | {"description": file.description}
    general = {key: field[key] for key in ("default", "examples", "title") if key in field}
    general["description"] = f"{field['description']} Or a file: {_lower(file.description)}"
    return general | {"anyOf": [{key: field[key] for key in field.keys() - general}, _FILE]}


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _example(files: Sequence[FileField]) -> dict[str, str]:
    """Return a body that is enough: ``/docs`` would make one up that has each field."""
    return {
        file.address: f"https://media.example.org/{file.name}"
        for file in files
        if file.required or file.instead
    }


def _address(file: FileField) -> dict[str, Any]:
    return {
        "type": "string",
        "description": f"Where the service fetches `{file.name}`, if it may (`MOUTHPIECE_FETCH`); "
        "or a `data:` URI.",
        **_EMPTY,
    }


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Describe a field that may be None: a form has no null, it leaves the field out or empty."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    named = {key: value for key, value in field.items() if key != "anyOf" and value is not None}
    named |= {} if "default" in named else _EMPTY
    return named | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})
