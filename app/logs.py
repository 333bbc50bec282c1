"""Structured logs, one line per event, from all processes. They never contain a caller's audio or key."""

import asyncio
import logging
import logging.config
from typing import Final, Literal

import structlog


def _without(event: structlog.typing.EventDict, key: str) -> structlog.typing.EventDict:
    event.pop(key, None)
    return event


_SHARED: Final[list[structlog.typing.Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
    lambda _logger, _method, event: _without(event, "color_message"),
]


# Without the frames' variables: among those are callers' keys and files, and printing them takes seconds.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


_CUT: Final = "ASGI callable returned without completing response."
"""What uvicorn says of a stream that was cut, which has an event of its own: ``stream_cut``."""


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is more than that an open stream was cut: with its job, or as the service is to stop."""
    stopped = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not stopped and record.msg != _CUT


def configure_logs(form: Literal["console", "json"], level: str) -> None:
    """Send this process's log lines, those of its libraries included, to standard error in one form.

    uvicorn's access log is silenced: the service logs requests itself, as events.
    """
    render: list[structlog.typing.Processor] = (
        [_TRACEBACKS, structlog.processors.JSONRenderer()]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler()
    handler.addFilter(_is_news)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
    for name in ("alembic", "httpx", "httpcore", "sqlalchemy", "asyncio", "multipart", "python_multipart"):
        logging.getLogger(name).setLevel(logging.WARNING)
