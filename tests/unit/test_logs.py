import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import asyncio, logging, structlog
from app.logs import configure_logs

configure_logs("{form}", "info")
log = structlog.stdlib.get_logger("app.test")
with structlog.contextvars.bound_contextvars(job="one"):
    log.info("event", frames=3)
    try:
        key = "sesa" + "me"
        raise ValueError("why")
    except ValueError:
        log.exception("broke")
log.debug("too quiet")
logging.getLogger("uvicorn.error").error("cut off", exc_info=asyncio.CancelledError())
logging.getLogger("uvicorn.error").error("ASGI callable returned without completing response.")
logging.getLogger("library").warning("old style %d", 7)
logging.getLogger("uvicorn.access").info("GET /")
logging.getLogger("uvicorn.error").info("started", extra={{"color_message": "red"}})
"""


def logged(form: str) -> str:
    script = SCRIPT.format(form=form)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def test_every_event_is_one_line_of_json_with_its_job() -> None:
    events: list[dict[str, Any]] = [json.loads(line) for line in logged("json").splitlines()]
    assert [event["event"] for event in events] == ["event", "broke", "old style 7", "started"]
    assert [event.get("job") for event in events] == ["one", "one", None, None]
    assert [event["level"] for event in events] == ["info", "error", "warning", "info"]
    assert events[0]["frames"] == 3
    assert events[0]["logger"] == "app.test"
    assert events[0]["timestamp"].endswith("Z")
    assert events[1]["exception"][0]["exc_value"] == "why"
    assert "color_message" not in events[3]


def test_a_person_gets_text() -> None:
    text = logged("console")
    assert "old style 7" in text
    assert "ValueError: why" in text
    assert "job=one" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_logged_without_the_values_of_variables(form: str) -> None:
    text = logged(form)
    assert "why" in text
    assert "sesame" not in text
