"""Problem documents (RFC 9457) for every error, and their description in OpenAPI."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DatabaseError, InterfaceError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from app.api.forms import legible
from app.errors import InvalidRequest, MouthpieceError, NotFound, NotReady, Problem, Unauthorized
from app.volume import lasting_meaning

MEDIA_TYPE: Final = "application/problem+json"
ErrorForm = Callable[[MouthpieceError], Response]
"""Makes the answer that an error becomes."""
Responses = dict[int | str, dict[str, Any]]
"""What FastAPI takes as a route's ``responses``."""

PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
"""A problem document, as OpenAPI describes it: ``app.api.models.Problem``, which is there because jobs have
one."""
_RETRY: Final = {
    "Retry-After": {
        "description": "Seconds after which the same request may succeed.",
        "schema": {"type": "integer"},
    }
}
_AUTHENTICATE: Final = {
    "WWW-Authenticate": {"description": "How a key is sent: `Bearer`.", "schema": {"type": "string"}}
}

log = structlog.stdlib.get_logger(__name__)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem document as a response of its status."""
    return JSONResponse(problem, problem["status"], headers, media_type=MEDIA_TYPE)


def error_response(error: MouthpieceError) -> JSONResponse:
    """Return the response that an error becomes, with the headers that its status asks for."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.location is not None:
        headers["Content-Location"] = error.location
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="mouthpiece"'
    return problem_response(error.problem(), headers)


def answer_to(request: Request, error: MouthpieceError) -> Response:
    """Return the answer to a request that failed: a problem document, or the form of another service.

    The form is ``request.state.error_form``, where a router has set one.
    """
    form: ErrorForm = getattr(request.state, "error_form", error_response)
    return form(error)


def documented(*errors: type[MouthpieceError], also: Responses | None = None) -> Responses:
    """Return OpenAPI's description of what a route may answer: problems, one entry a status, and ``also``.

    That it fails unexpectedly is always among them.
    """
    responses: Responses = {status: dict(answer) for status, answer in (also or {}).items()}
    possible: tuple[type[MouthpieceError], ...] = (*errors, MouthpieceError)
    for error in possible:
        add_problem(responses.setdefault(error.status, {}), error)
    return responses


def add_problem(answer: dict[str, Any], error: type[MouthpieceError]) -> None:
    """Add an error to OpenAPI's description of the answer with its status, if it is not there."""
    title, said = f"{error.title} (`{error.code}`)", answer.get("description", "")
    if title not in said:
        answer["description"] = f"{said}; {title}" if said else title
    answer["content"] = answer.get("content", {}) | PROBLEM
    if error.retry_after is not None:
        answer["headers"] = answer.get("headers", {}) | _RETRY
    if issubclass(error, Unauthorized):
        answer["headers"] = answer.get("headers", {}) | _AUTHENTICATE


def invalid(error: ValidationError | RequestValidationError) -> InvalidRequest:
    """Return the error of ours for values that pydantic refused: a sentence for each, up to three."""
    sentences = [_sentence(detail) for detail in error.errors()[:3]]
    return InvalidRequest(" ".join(sentences))


def install_handlers(app: FastAPI) -> None:
    """Have the application answer every failure with a problem document."""
    app.add_exception_handler(MouthpieceError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(OSError, _on_system_error)
    for gone in (DatabaseError, InterfaceError):
        app.add_exception_handler(gone, _on_database_error)
    app.add_exception_handler(Exception, _on_unexpected)


def _sentence(detail: ErrorDetails) -> str:
    if detail["type"] in ("json_invalid", "model_type"):
        return "The body must be a JSON object, as UTF-8."
    # The first part of a location says "query" or "path"; a field of a body has its name alone.
    place = [str(part) for part in detail["loc"] if part not in ("query", "path", "header")]
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:  # of several fields together: the sentence names them
        return f"{message}."
    return f"{legible(place[0]) if place else 'The request'}: {message[:1].lower()}{message[1:]}."


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MouthpieceError)
    return answer_to(request, error)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer_to(request, invalid(error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: no such route, a method that a route has not, and the like."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return answer_to(request, NotFound("There is nothing at this address; see /docs for what there is."))
    status, headers, detail = HTTPStatus(error.status_code), dict(error.headers or {}), error.detail
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request))
        detail = f"There is no {request.method} at this address, only {headers['Allow']}."
    problem = Problem(type="about:blank", title=status.phrase, status=status.value, detail=detail)
    return problem_response(problem, headers)


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of all routes at this path; the framework names those of the first one only."""
    methods = [
        method
        for method in ("GET", "POST", "PUT", "DELETE")
        if any(
            route.matches(dict(request.scope) | {"method": method})[0] is Match.FULL
            for route in request.app.router.routes
        )
    ]
    return ["HEAD", *methods] if "GET" in methods else methods or ["HEAD", "GET"]  # which files have


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """Close the books on a request whose client has gone; nobody is there to read the answer."""
    return answer_to(request, InvalidRequest("The connection ended before the request was answered."))


async def _on_database_error(request: Request, error: Exception) -> Response:
    """Answer while the job database is locked, full, damaged or away."""
    log.error("job_table_unusable", error=str(error))
    return answer_to(
        request, NotReady("The job database cannot be used at the moment; try again in a few seconds.")
    )


async def _on_system_error(request: Request, error: Exception) -> Response:
    """Answer for a volume that is full, only read or damaged, and want of file handles; else it is raised."""
    assert isinstance(error, OSError)
    meant = lasting_meaning(error)
    if meant is None:
        raise error
    log.error("system_refused", error=str(error))
    return answer_to(request, meant)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    """Answer an error that nobody foresaw without showing its words; the server logs it."""
    return answer_to(request, MouthpieceError("The service failed unexpectedly; its log says why."))
