import json
import re
from collections.abc import Callable
from pathlib import Path

from tests.support.server import Server


def test_all_lines_about_a_job_carry_its_id_from_the_request_to_its_end(
    server: Server, anna: str, speech: Callable[[float], Path]
) -> None:
    answer = server.client.post(anna, files={"audio": speech(0.5).read_bytes()})
    job_id = answer.headers["content-location"].rsplit("/", 1)[1]

    def told() -> list[tuple[str, str]]:
        events = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        return [(event["event"], event["logger"]) for event in events if event.get("job") == job_id]

    server.wait(lambda: ("request", "app.api.metrics") in told())
    assert told() == [
        ("job_submitted", "app.api.submission"),
        ("job_started", "app.jobs.scheduler"),
        ("job_ended", "app.jobs.scheduler"),
        ("request", "app.api.metrics"),
    ]


def test_a_callers_trace_is_in_every_line_from_the_request_to_the_worker(server: Server, anna: str) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    answer = server.client.post(anna, files={"audio": b"no sound"}, headers=headers)
    job_id = answer.headers["content-location"].rsplit("/", 1)[1]

    def told() -> list[dict[str, str]]:
        events = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        return [event for event in events if event.get("job") == job_id]

    server.wait(lambda: "request" in {event["event"] for event in told()})
    assert {event["event"] for event in told()} >= {
        "job_submitted",
        "job_started",
        "job_refused",
        "job_ended",
    }
    assert "app.workers.child" in {event["logger"] for event in told()}
    assert {event["trace_id"] for event in told()} == {trace_id}


def test_a_request_without_a_trace_begins_one(server: Server) -> None:
    server.client.get("/v1/avatars?limit=7")
    lines = [json.loads(line) for line in server.log.splitlines() if '"event": "request"' in line]
    assert re.fullmatch("[0-9a-f]{32}", lines[-1]["trace_id"])


def test_a_new_job_database_is_a_line_of_the_log_like_any_other(server: Server) -> None:
    events = [json.loads(line)["event"] for line in server.log.splitlines() if line.startswith("{")]
    assert "job_database_migrated" in events
